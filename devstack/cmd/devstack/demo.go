package main

import (
	"context"
	"os"
	"path/filepath"

	"github.com/docmill/docmill/devstack/demo"
	"github.com/docmill/docmill/devstack/supervisor"
)

// sample is the presentation that the demo converts, in the project directory.
const sample = "testdata/sample.pptx"

type demoCommand struct {
	BaseURL string `name:"base-url" placeholder:"URL" help:"URL of a running Docmill. Default: the one that 'up' started, otherwise http://127.0.0.1:8080."`
	File    string `arg:""          optional:""       help:"Document to convert. Default: a sample deck."             type:"path"`
}

func (c *demoCommand) Run(ctx context.Context) error {
	if c.File == "" {
		project, err := projectDir()
		if err != nil {
			return err
		}
		c.File = filepath.Join(project, sample)
	}
	if c.BaseURL == "" {
		c.BaseURL = runningURL()
	}
	return demo.Run(ctx, demo.Options{BaseURL: c.BaseURL, File: c.File, OutputDir: ".", Output: os.Stdout})
}

// runningURL returns the URL of the stack of this project, or the default address.
func runningURL() string {
	if dir, err := stackDir(); err == nil {
		if state, err := supervisor.Read(dir); err == nil && state.URL != "" {
			return state.URL
		}
	}
	return "http://127.0.0.1:8080"
}
