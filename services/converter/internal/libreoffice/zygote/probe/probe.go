// Package probe tries, from inside a child, what its sandbox must refuse. Only tests import it: linked into a binary, it
// makes children answer to the target format "probe" by trying instead of converting.
//
// It also makes a parent destroy those of its own documents whose target is below a folder [OneProcess]: so a parent stands
// in for the engine that Docmill's is compared with, one long-lived process that converts in a loop.
package probe

// #cgo CFLAGS: -O2 -std=gnu11 -Wall -Wextra
import "C"

// OneProcess is the name of a folder.
const OneProcess = "one-process"
