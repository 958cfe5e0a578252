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

// settings is what a directory's servers keep from one start to the next: ports (as long as they stay free), names and
// passwords.
type settings struct {
	RabbitMQ   rabbitMQSettings   `json:"rabbitmq"`
	PostgreSQL postgreSQLSettings `json:"postgresql"`
	MinIO      minIOSettings      `json:"minio"`
}

const settingsName = "servers.json"

// loadSettings reads the directory's settings, or makes new ones for a new directory.
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

// newSettings leaves the ports at 0, to be drawn at the start.
func newSettings() settings {
	return settings{
		RabbitMQ:   rabbitMQSettings{Ports: make([]int, rabbitMQPorts), Username: "docmill", Password: rand.Text(), Cookie: rand.Text()},
		PostgreSQL: postgreSQLSettings{Ports: make([]int, 1), AdminPassword: rand.Text(), Password: rand.Text()},
		MinIO:      minIOSettings{Ports: make([]int, minIOPorts), AccessKey: rand.Text(), SecretKey: rand.Text()},
	}
}

// saveSettings remembers the ports that the servers have got.
func (s *Servers) saveSettings() error {
	_, err := writeSettings(filepath.Join(s.dir, settingsName), settings{
		RabbitMQ: s.RabbitMQ.settings, PostgreSQL: s.PostgreSQL.settings, MinIO: s.MinIO.settings,
	})
	return err
}

// writeSettings replaces the file in one step: passwords that fit the data are lost with it.
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
