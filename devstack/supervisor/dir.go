package supervisor

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
)

// DirVariable overrides where [StateDir] is.
const DirVariable = "DOCMILL_DEVSTACK_DIR"

// StateDir is where the stack of the project in that directory keeps its state: one for each project directory, so that several
// copies of the project do not share one. root's is where the user postgres can reach it.
func StateDir(project string) (string, error) {
	if dir := os.Getenv(DirVariable); dir != "" {
		absolute, err := filepath.Abs(dir)
		if err != nil {
			return "", fmt.Errorf("find the directory that %s names: %w", DirVariable, err)
		}
		return absolute, nil
	}
	base := "/var/lib/docmill"
	if os.Getuid() != 0 {
		state := os.Getenv("XDG_STATE_HOME")
		if state == "" {
			home, err := os.UserHomeDir()
			if err != nil {
				return "", fmt.Errorf("find a place for the stack's state (or set %s): %w", DirVariable, err)
			}
			state = filepath.Join(home, ".local", "state")
		}
		base = filepath.Join(state, "docmill")
	}
	const enough = 6
	sum := sha256.Sum256([]byte(project))
	return filepath.Join(base, "devstack-"+hex.EncodeToString(sum[:enough])), nil
}
