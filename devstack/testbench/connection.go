package testbench

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/docmill/docmill/devstack/servers"
)

// ConnectionVariable is the environment variable with the path of a file that has the addresses of running servers. Its
// name does not begin with DOCMILL_, because services reject unknown settings with that prefix.
const ConnectionVariable = "DEVSTACK_CONNECTION"

// WriteConnection writes the file that [ConnectionVariable] names. Only this user can read it, because it has
// passwords.
func WriteConnection(path string, connection servers.Connection) error {
	text, err := json.MarshalIndent(connection, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the servers' addresses: %w", err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return fmt.Errorf("write the servers' addresses: %w", err)
	}
	return nil
}

func readConnection(path string) (servers.Connection, error) {
	var connection servers.Connection
	text, err := os.ReadFile(path) //nolint:gosec // the path is a setting of the test run
	if err != nil {
		return connection, fmt.Errorf("read the servers' addresses (from %s): %w", ConnectionVariable, err)
	}
	if err := json.Unmarshal(text, &connection); err != nil {
		return connection, fmt.Errorf("read the servers' addresses in %s: %w", path, err)
	}
	return connection, nil
}
