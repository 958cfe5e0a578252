package servers

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// settings are what the servers of a directory keep between starts: ports (as long as they are free), names and
// passwords.
type settings struct {
	RabbitMQ   rabbitMQSettings   `json:"rabbitmq"`
	PostgreSQL postgreSQLSettings `json:"postgresql"`
	MinIO      minIOSettings      `json:"minio"`
}

const settingsName = "servers.json"

// loadSettings reads the settings of the directory, or creates new ones for a new directory.
func loadSettings(dir string) (settings, error) {
	path := filepath.Join(dir, settingsName)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return writeSettings(path, newSettings())
	}
	if err != nil {
		return settings{}, fmt.Errorf("read the servers' settings: %w", err)
	}
	var found settings
	if err := json.Unmarshal(text, &found); err != nil {
		return settings{}, fmt.Errorf("read the servers' settings in %s: %w", path, err)
	}
	return found, nil
}

// newSettings leaves the ports at 0; they are chosen at the start.
func newSettings() settings {
	return settings{
		RabbitMQ: rabbitMQSettings{
			Ports: make([]int, rabbitMQPorts), Username: "docmill", Password: rand.Text(), Cookie: rand.Text(),
		},
		PostgreSQL: postgreSQLSettings{Ports: make([]int, 1), AdminPassword: rand.Text(), Password: rand.Text()},
		MinIO:      minIOSettings{Ports: make([]int, minIOPorts), AccessKey: rand.Text(), SecretKey: rand.Text()},
	}
}

// withoutPorts returns the settings with ports that are yet to be chosen.
func (s settings) withoutPorts() settings {
	s.RabbitMQ.Ports, s.PostgreSQL.Ports, s.MinIO.Ports = make([]int, rabbitMQPorts), make([]int, 1), make([]int, minIOPorts)
	return s
}

// settings returns the settings of the servers, with the ports that they use.
func (s *Servers) settings() settings {
	return settings{RabbitMQ: s.RabbitMQ.settings, PostgreSQL: s.PostgreSQL.settings, MinIO: s.MinIO.settings}
}

// saveSettings stores the settings of the servers in their directory.
func (s *Servers) saveSettings() error {
	_, err := writeSettings(filepath.Join(s.dir, settingsName), s.settings())
	return err
}

// writeSettings replaces the file atomically, because without its passwords the data is inaccessible.
func writeSettings(path string, s settings) (settings, error) {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return settings{}, fmt.Errorf("encode the servers' settings: %w", err)
	}
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return settings{}, fmt.Errorf("write the servers' settings: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return settings{}, fmt.Errorf("write the servers' settings: %w", err)
	}
	return s, nil
}
