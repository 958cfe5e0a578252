package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.uber.org/zap"

	"github.com/docmill/docmill/devstack/bench"
	"github.com/docmill/docmill/devstack/client"
	"github.com/docmill/docmill/devstack/install"
	"github.com/docmill/docmill/devstack/servers"
	"github.com/docmill/docmill/devstack/system"
)

// small is the document that the benchmark converts, in the project folder: 20 kB, text with formulas.
const small = "testdata/docling__equations.docx"

type benchCommand struct {
	File string `arg:"" optional:"" help:"Small document to convert. Default: one of testdata." type:"path"`
}

func (c *benchCommand) Run(ctx context.Context, log *zap.Logger) (err error) {
	project, err := projectFolder()
	if err != nil {
		return err
	}
	if c.File == "" {
		c.File = filepath.Join(project, small)
	}
	tools, err := install.Ensure(ctx, log, install.All()...)
	if err != nil {
		return err
	}
	shared, err := servers.Start(ctx, servers.Options{Durable: true, Log: log})
	if err != nil {
		return fmt.Errorf("starting servers: %w", err)
	}
	defer func() { err = errors.Join(err, shared.Stop(context.WithoutCancel(ctx))) }()

	whole, _, err := startSystem(ctx, project, shared, "whole")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, whole.Stop(context.WithoutCancel(ctx))) }()
	edge, space, err := startSystem(ctx, project, shared, "edge")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, edge.Stop(context.WithoutCancel(ctx))) }()
	if err := edge.Converter.Stop(ctx); err != nil {
		return err
	}
	return bench.Run(ctx, bench.Options{
		Whole: client.New(whole.URL()), Edge: client.New(edge.URL()), Soffice: tools.Soffice, Document: c.File, Output: os.Stdout,
		PutObject: func(ctx context.Context, key string, content []byte) error {
			return shared.MinIO.PutObject(ctx, space.SourcesBucket, key, content)
		},
	})
}

// startSystem starts a Docmill in a space of its own on the servers, from the binaries that make built.
func startSystem(ctx context.Context, project string, on *servers.Servers, name string) (*system.System, servers.Space, error) {
	const patience = 2 * time.Minute
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	space := on.Space(name)
	if err := space.Create(ctx); err != nil {
		return nil, space, err
	}
	logs := filepath.Join(on.Dir(), name)
	const private = 0o700
	if err := os.MkdirAll(logs, private); err != nil {
		return nil, space, fmt.Errorf("creating a folder for logs: %w", err)
	}
	started, err := system.Start(ctx, system.Options{Space: space, Binaries: filepath.Join(project, "bin"), LogDir: logs})
	return started, space, err
}
