// Package manual implements `docmill man`, which prints the manual page. It is made from the commands themselves. The
// library that does that for kong has had no release since 2022, and knows neither groups nor the environment.
package manual

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/docmill/docmill/cmd/docmill/internal/invocation"
)

// Command is `docmill man`.
type Command struct{}

// Help is shown by --help.
func (*Command) Help() string {
	return `Examples:

    docmill man | man -l -
    docmill man >/usr/local/share/man/man1/docmill.1`
}

// Run runs the command.
func (*Command) Run(streams *invocation.Streams, model *kong.Application) error {
	return Write(streams.Stdout, model)
}

const (
	beginning = `.TH DOCMILL 1 "" "Docmill" "User Commands"
.SH NAME
docmill \- convert office documents to PDF and other formats
.SH SYNOPSIS
.B docmill
.I command
.RI [ flags ]
.RI [ arguments ]
.SH DESCRIPTION
`
	ending = `.SH ENVIRONMENT
Every flag
.B \-\-some\-name
is also read from the environment variable
.BR DOCMILL_SOME_NAME ,
and from the YAML file that
.B \-\-config
names, as
.BR "some\-name: value" .
Flags take precedence over the environment, and the environment over the file. Unknown settings are errors.
.PP
Passwords are never flags:
.BR DOCMILL_PASSWORD ", " DOCMILL_USER_PASSWORD " and " DOCMILL_OWNER_PASSWORD
contain them, or the flags with the ending
.B \-file
name files with them.
.SH EXIT STATUS
.TP
.B 0
Everything was converted, or nothing is wrong.
.TP
.B 1
Some documents were not converted, the job has failed, or something is wrong.
.TP
.B 2
The command line or a setting is wrong. Nothing was done.
.TP
.B 3
The server or the conversion engine of this machine cannot be used.
.TP
.B 130
Stopped by Ctrl-C;
.B 141
when the reader of a pipe ends;
.B 143
by SIGTERM.
`
)

// Write writes the page.
func Write(out io.Writer, model *kong.Application) error {
	var page strings.Builder
	page.WriteString(beginning)
	paragraph(&page, model.Help)
	page.WriteString(".SH COMMANDS\n")
	for _, command := range model.Leaves(true) {
		describe(&page, command)
	}
	page.WriteString(ending)
	_, err := io.WriteString(out, page.String())
	return err
}

// describe writes the section of a command.
func describe(page *strings.Builder, command *kong.Node) {
	fmt.Fprintf(page, ".SS \"%s\"\n", escape("docmill "+command.Summary()))
	paragraph(page, command.Help)
	text(page, command.Detail)
	group := ""
	for _, flag := range command.Flags {
		if flag.Hidden {
			continue
		}
		if flag.Group != nil && flag.Group.Title != group {
			group = flag.Group.Title
			fmt.Fprintf(page, ".PP\n%s\n", escape(group))
		}
		fmt.Fprintf(page, ".TP\n.B %s\n%s\n", escape(written(flag)), escape(flag.Help))
	}
}

// written returns how a flag is written.
func written(flag *kong.Flag) string {
	text := "--" + flag.Name
	if flag.Tag.Negatable != "" {
		text = "--[no-]" + flag.Name
	}
	if flag.Short != 0 {
		text = "-" + string(flag.Short) + ", " + text
	}
	if !flag.IsBool() {
		text += "=" + flag.FormatPlaceHolder()
	}
	return text
}

// text writes paragraphs; those that are indented are examples.
func text(page *strings.Builder, detail string) {
	for part := range strings.SplitSeq(detail, "\n\n") {
		if strings.HasPrefix(part, "    ") {
			page.WriteString(".PP\n.RS 4\n.nf\n")
			for line := range strings.Lines(part) {
				page.WriteString(escape(strings.TrimSpace(line)) + "\n")
			}
			page.WriteString(".fi\n.RE\n")
			continue
		}
		paragraph(page, part)
	}
}

func paragraph(page *strings.Builder, text string) {
	if text == "" {
		return
	}
	page.WriteString(".PP\n" + escape(strings.Join(strings.Fields(text), " ")) + "\n")
}

// escape escapes what has a meaning in a manual page.
func escape(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "~", `\(ti`, "^", `\(ha`, "'", `\(aq`).Replace(text)
	if strings.HasPrefix(text, ".") {
		text = `\&` + text
	}
	return text
}
