package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	// commandDocuments is how many documents `docmill convert` is called with.
	commandDocuments = 100
	commandName      = "docmill convert"
)

// command measures `docmill convert` without a server against LibreOffice that is called once with the same documents:
// their rates, with the start included, and the time until a single document is converted.
func (m *measurement) command(ctx context.Context) error {
	for _, document := range []string{m.Letter, m.Document} {
		if err := m.commandWith(ctx, document); err != nil {
			return err
		}
	}
	return nil
}

func (m *measurement) commandWith(ctx context.Context, document string) error {
	dir, err := os.MkdirTemp("", "docmill-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	documents, err := copies(document, dir)
	if err != nil {
		return err
	}
	rates, firsts := map[string][]float64{}, map[string][]float64{}
	for round := range rounds {
		for name, run := range map[string]func(out string, documents []string) error{
			commandName:    func(out string, documents []string) error { return m.docmill(ctx, out, documents) },
			withoutDocmill: func(out string, documents []string) error { return m.sofficeOnce(ctx, out, documents) },
		} {
			out := filepath.Join(dir, fmt.Sprintf("%d-%s", round, name[:1]))
			first, err := timed(func() error { return run(out+"-first", documents[:1]) })
			if err != nil {
				return err
			}
			all, err := timed(func() error { return run(out, documents) })
			if err != nil {
				return err
			}
			if results, err := os.ReadDir(out); err != nil || len(results) != len(documents) {
				return fmt.Errorf("%s made %d results of %d documents: %w", name, len(results), len(documents), err)
			}
			firsts[name] = append(firsts[name], first.Seconds()*float64(time.Second/time.Millisecond))
			rates[name] = append(rates[name], commandDocuments/all.Seconds())
		}
	}
	show := func(what, unit string, of map[string][]float64) {
		m.show(what, unit, []figure{{commandName, median(of[commandName])}, {withoutDocmill, median(of[withoutDocmill])}})
	}
	name := filepath.Base(document)
	show("one "+name+", cold", "ms", firsts)
	show(fmt.Sprintf("%d %s at once", commandDocuments, name), "per s", rates)
	return nil
}

// copies fills dir with as many copies of a document as the command is called with.
func copies(document, dir string) (paths []string, err error) {
	content, err := os.ReadFile(document)
	if err != nil {
		return nil, err
	}
	for i := range commandDocuments {
		paths = append(paths, filepath.Join(dir, fmt.Sprintf("%03d%s", i, filepath.Ext(document))))
		if err := os.WriteFile(paths[i], content, 0o600); err != nil { //nolint:gosec // dir is a temporary directory
			return nil, err
		}
	}
	return paths, nil
}

// docmill runs `docmill convert` without a server.
func (m *measurement) docmill(ctx context.Context, out string, documents []string) error {
	command := exec.CommandContext(ctx, m.Docmill, append([]string{"convert", "--quiet", "--output", out + "/"}, documents...)...)
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "DOCMILL_") {
			command.Env = append(command.Env, variable)
		}
	}
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("run docmill: %w: %s", err, output)
	}
	return nil
}

// sofficeOnce converts all documents with one process.
func (m *measurement) sofficeOnce(ctx context.Context, out string, documents []string) error {
	command := exec.CommandContext(ctx, m.Soffice, append([]string{
		m.profile(), "--headless", "--convert-to", "pdf", "--outdir", out,
	}, documents...)...)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("run soffice: %w: %s", err, output)
	}
	return nil
}
