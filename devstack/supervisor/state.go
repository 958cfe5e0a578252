package supervisor

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// State describes a supervisor and its stack.
type State struct {
	// PID is the process ID of the supervisor.
	PID int `json:"pid"`
	// Ready is set when everything has started. The other members are valid from then on.
	Ready bool `json:"ready"`
	// URL is the public address.
	URL       string    `json:"url,omitempty"`
	StartedAt time.Time `json:"started_at"`
	// Stack is the name of the stack.
	Stack string `json:"stack,omitempty"`
	// Build identifies the programs; see [BuildID].
	Build    string    `json:"build,omitempty"`
	Services []Service `json:"services,omitempty"`
}

// Service is one service of a running stack.
type Service struct {
	Name     string `json:"name"`
	AdminURL string `json:"admin_url"`
}

const stateName = "state.json"

// write replaces the state atomically, so that readers never see a part of it.
func (s State) write(dir string) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the stack's state: %w", err)
	}
	path := filepath.Join(dir, stateName)
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return fmt.Errorf("write the stack's state: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("write the stack's state: %w", err)
	}
	return nil
}

// Read returns the state of the stack in the directory, or [ErrNotRunning].
func Read(dir string) (State, error) {
	pid, err := holder(dir)
	if err != nil {
		return State{}, err
	}
	if pid == 0 {
		return State{}, ErrNotRunning
	}
	starting := State{PID: pid}
	text, err := os.ReadFile(filepath.Join(dir, stateName))
	if errors.Is(err, fs.ErrNotExist) {
		return starting, nil
	}
	if err != nil {
		return State{}, fmt.Errorf("read the stack's state: %w", err)
	}
	var state State
	if err := json.Unmarshal(text, &state); err != nil {
		return State{}, fmt.Errorf("read the stack's state: %w", err)
	}
	if state.PID != pid { // left by an earlier supervisor
		return starting, nil
	}
	return state, nil
}
