// Command docmill converts office documents. `docmill serve` runs all of Docmill in one process, on SQLite and a
// directory.
package main

import (
	"fmt"
	"os"

	"github.com/alecthomas/kong"

	"github.com/docmill/docmill/cmd/docmill/internal/check"
	"github.com/docmill/docmill/cmd/docmill/internal/serve"
)

// commands are the program's commands. Each parses its own settings, so that all of them follow the rules of package
// config.
type commands struct {
	Serve passed `cmd:"" passthrough:"" help:"Run all of Docmill in this process, on SQLite and a directory. See docmill serve --help."`
	Check passed `cmd:"" passthrough:"" help:"Check a data directory that is not in use. See docmill check --help."`
}

// passed are the arguments of a command.
type passed struct {
	Args []string `arg:"" optional:"" help:"Settings; see the command's --help."`
}

func main() {
	var given commands
	parser := kong.Must(&given, kong.Name("docmill"),
		kong.Description("Docmill converts office documents to PDF and other formats."))
	args := os.Args[1:]
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(os.Stderr, "docmill: %v (see docmill --help)\n", err)
		os.Exit(exitUsage)
	}
	switch command := parsed.Selected().Name; command {
	case "serve":
		os.Exit(serve.Main(given.Serve.Args))
	case "check":
		os.Exit(check.Main(given.Check.Args))
	default:
		fmt.Fprintln(os.Stderr, "docmill: unknown command", command)
		os.Exit(exitUsage)
	}
}

// exitUsage is the exit code for a wrong command line.
const exitUsage = 2
