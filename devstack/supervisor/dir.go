package supervisor

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
)

// DirVariable is the environment variable that overrides [StateDir].
const DirVariable = "DOCMILL_DEVSTACK_DIR"

// StateDir returns the directory for the state of the project's stack. Each copy of the project has its own. For root
// it is in a place that the user postgres can reach.
func StateDir(project string) (string, error) {
	if dir := os.Getenv(DirVariable); dir != "" {
		absolute, err := filepath.Abs(dir)
		if err != nil {
			return "", fmt.Errorf("resolve %s: %w", DirVariable, err)
		}
		return absolute, nil
	}
	base := "/var/lib/docmill"
	if os.Getuid() != 0 {
		state := os.Getenv("XDG_STATE_HOME")
		if state == "" {
			home, err := os.UserHomeDir()
			if err != nil {
				return "", fmt.Errorf("find a directory for the state (%s overrides it): %w", DirVariable, err)
			}
			state = filepath.Join(home, ".local", "state")
		}
		base = filepath.Join(state, "docmill")
	}
	const enough = 6
	sum := sha256.Sum256([]byte(project))
	return filepath.Join(base, "devstack-"+hex.EncodeToString(sum[:enough])), nil
}
