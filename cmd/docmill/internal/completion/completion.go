// Package completion implements `docmill completion`, which prints a script that completes command lines in a shell, and
// the command that these scripts ask.
//
// The scripts only pass the words on: what completes them is derived from the commands themselves. The libraries for
// kong that do the same have had no release since 2022.
package completion

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/docmill/docmill/cmd/docmill/internal/invocation"
)

var (
	//go:embed docmill.bash
	bash string
	//go:embed docmill.zsh
	zsh string
	//go:embed docmill.fish
	fish string
)

// Script is `docmill completion`.
type Script struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"The shell: bash, zsh or fish."`
}

// Help is shown by --help.
func (*Script) Help() string {
	return `Examples:

    docmill completion bash >/etc/bash_completion.d/docmill
    source <(docmill completion bash)
    docmill completion zsh >"${fpath[1]}/_docmill"
    docmill completion fish >~/.config/fish/completions/docmill.fish`
}

// Run runs the command.
func (c *Script) Run(streams *invocation.Streams) error {
	_, err := fmt.Fprint(streams.Stdout, map[string]string{"bash": bash, "zsh": zsh, "fish": fish}[c.Shell])
	return err
}

// Words is the command that the scripts ask. It prints what can follow, one word on each line, and nothing where that is
// a file.
type Words struct {
	Words []string `arg:"" optional:"" passthrough:"" help:"The words of the command line after docmill, up to the cursor."`
}

// Run runs the command.
func (c *Words) Run(streams *invocation.Streams, model *kong.Application) error {
	words := c.Words
	if len(words) > 0 && words[0] == "--" {
		words = words[1:]
	}
	for _, word := range Complete(model.Node, words) {
		if _, err := fmt.Fprintln(streams.Stdout, word); err != nil {
			return err
		}
	}
	return nil
}

// Complete returns what the last of the words can be, in alphabetical order. It returns nothing where that is a file or a
// text.
func Complete(root *kong.Node, words []string) []string {
	if len(words) == 0 {
		words = []string{""}
	}
	node, pending := walk(root, words[:len(words)-1])
	last := words[len(words)-1]
	name, _, assigned := strings.Cut(last, "=")
	var possible []string
	switch {
	case pending != nil:
		possible = valuesOf(pending)
	case assigned && strings.HasPrefix(name, "--"):
		if flag := find(node, name); flag != nil {
			for _, word := range valuesOf(flag.Value) {
				possible = append(possible, name+"="+word)
			}
		}
	case strings.HasPrefix(last, "-"):
		possible = flagsOf(node)
	default:
		possible = argumentsOf(node)
	}
	possible = slices.DeleteFunc(possible, func(word string) bool { return !strings.HasPrefix(word, last) })
	slices.Sort(possible)
	return slices.Compact(possible)
}

// walk follows words to a command. pending is the value that the next word is, if the last one was a flag that needs one.
func walk(node *kong.Node, words []string) (at *kong.Node, pending *kong.Value) {
	for i, word := range words {
		if strings.HasPrefix(word, "-") {
			flag := find(node, word)
			if flag == nil || flag.IsBool() || strings.Contains(word, "=") {
				continue
			}
			if i == len(words)-1 {
				return node, flag.Value
			}
			continue
		}
		for _, child := range node.Children {
			if child.Name == word {
				node = child
			}
		}
	}
	return node, nil
}

// find returns a flag by how it is written.
func find(node *kong.Node, word string) *kong.Flag {
	name, _, _ := strings.Cut(word, "=")
	for _, group := range node.AllFlags(false) {
		for _, flag := range group {
			if name == "--"+flag.Name || flag.Short != 0 && name == "-"+string(flag.Short) {
				return flag
			}
		}
	}
	return nil
}

func flagsOf(node *kong.Node) []string {
	var all []string
	for _, group := range node.AllFlags(true) {
		for _, flag := range group {
			all = append(all, "--"+flag.Name)
			if flag.Tag.Negatable != "" {
				all = append(all, "--no-"+flag.Name)
			}
		}
	}
	return all
}

// argumentsOf returns the commands below a command, or the words that its arguments can be.
func argumentsOf(node *kong.Node) []string {
	var all []string
	for _, child := range node.Children {
		if !child.Hidden {
			all = append(all, child.Name)
		}
	}
	for _, argument := range node.Positional {
		all = append(all, valuesOf(argument)...)
	}
	return all
}

func valuesOf(value *kong.Value) []string {
	if value.Enum == "" {
		return nil
	}
	return value.EnumSlice()
}
