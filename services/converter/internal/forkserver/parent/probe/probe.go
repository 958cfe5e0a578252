// Package probe tries, from inside a child, what its sandbox must refuse. Only tests import it: linked into a binary, it
// makes children answer to the target format "probe" by trying instead of converting.
package probe

// #cgo CFLAGS: -O2 -std=gnu11 -Wall -Wextra
import "C"
