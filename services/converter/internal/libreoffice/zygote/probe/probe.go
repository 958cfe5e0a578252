// Package probe tries, in a child, what the sandbox must prevent. Only tests import it: in a program that links it,
// children with the target format "probe" do that instead of converting.
//
// It also makes a zygote destroy those of its own documents whose target is below a directory [OneProcess]: such a
// zygote is used as the engine that Docmill's is compared with, one long-lived process that converts in a loop.
package probe

// #cgo CFLAGS: -O2 -std=gnu11 -Wall -Wextra
import "C"

// OneProcess is the name of a directory.
const OneProcess = "one-process"
