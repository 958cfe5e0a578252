package testbench

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/docmill/docmill/devstack/servers"
)

// ConnectionVariable names the environment variable with the path of a file that says where running servers are. Its
// name does not begin with DOCMILL_, because services refuse settings of that prefix that they do not know.
const ConnectionVariable = "DEVSTACK_CONNECTION"

// WriteConnection writes the file that [ConnectionVariable] names, readable by this user alone: it holds passwords.
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
	text, err := os.ReadFile(path) //nolint:gosec // whoever runs the tests names it
	if err != nil {
		return connection, fmt.Errorf("read the servers' addresses that %s names: %w", ConnectionVariable, err)
	}
	if err := json.Unmarshal(text, &connection); err != nil {
		return connection, fmt.Errorf("read the servers' addresses in %s: %w", path, err)
	}
	return connection, nil
}
