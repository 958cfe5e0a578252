// Package local is a Docmill for the duration of a command: the single-process edition on a temporary directory, which
// opens no port and is used through its handler.
package local

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/docmill/docmill/client"
	"github.com/docmill/docmill/cmd/docmill/internal/assembly"
	"github.com/docmill/docmill/cmd/docmill/internal/datadir"
	"github.com/docmill/docmill/platform/config"
	"github.com/docmill/docmill/platform/disk"
	"github.com/docmill/docmill/platform/host"
	"github.com/docmill/docmill/platform/httpserver"
	"github.com/docmill/docmill/platform/metrics"
	"github.com/docmill/docmill/platform/processdir"
	"github.com/docmill/docmill/platform/service"
	"github.com/docmill/docmill/services/converter"
)

// Instance is a Docmill in this process.
type Instance struct {
	// Client uses the instance.
	Client *client.Client

	data      *datadir.Dir
	log       *zap.Logger
	directory *processdir.Dir
	abandon   context.CancelCauseFunc
	done      chan struct{}
	err       error // readable once done is closed
}

const (
	// noTimeLimit is for time limits that protect a server from its clients.
	noTimeLimit = 1 << 20 * time.Hour
	// fullTime is for how long the temporary directory may be full: conversions that end make room.
	fullTime, fullChecks = 30 * time.Second, 10
)

// errFull means that nothing can be converted, because the temporary directory is full.
var errFull = errors.New("the directory for temporary files is full; make space, or set TMPDIR to another directory")

// Start starts an instance with that converter, and returns before it has loaded LibreOffice: documents can be submitted
// at once, if they have at most maxSize bytes. The caller calls Stop. What killed processes of this user have left behind
// is removed.
func Start(ctx context.Context, engine converter.Config, maxSize config.Size, log *zap.Logger) (*Instance, error) {
	var settings assembly.Settings
	if err := config.Parse("docmill", "", &settings, config.Source{}); err != nil { // the defaults
		return nil, err
	}
	settings.Converter = engine
	settings.Gateway.MaxUploadSize, settings.Gateway.MinUploadRate = maxSize, 0
	settings.Gateway.UploadIdleTimeout = noTimeLimit // a slow pipe is not an attack
	directory, err := processdir.Open("", "local")
	if err != nil {
		return nil, err
	}
	if full(directory.Path()) {
		return nil, errors.Join(errFull, directory.Close())
	}
	if err := directory.Leftovers(); err != nil {
		log.Warn("cannot remove what a killed process has left", zap.Error(err))
	}
	i, err := start(ctx, settings, directory, log)
	if err != nil {
		return nil, errors.Join(err, directory.Close())
	}
	return i, nil
}

func start(ctx context.Context, settings assembly.Settings, directory *processdir.Dir, log *zap.Logger) (*Instance, error) {
	process := service.Process{Log: log, Metrics: metrics.NewRegistry()}
	data, err := datadir.OpenTemporary(ctx, filepath.Join(directory.Path(), "data"), log, process.Metrics)
	if err != nil {
		return nil, err
	}
	together, err := assembly.New(settings, process, data, nil) //nolint:contextcheck // requests have contexts of their own
	if err != nil {
		return nil, errors.Join(err, data.Close())
	}
	running, abandon := context.WithCancelCause(context.WithoutCancel(ctx))
	i := &Instance{
		Client: client.New("http://docmill", client.WithHTTPClient(&http.Client{Transport: httpserver.InProcess(together.Handler)})),
		data:   data, log: log, directory: directory, abandon: abandon, done: make(chan struct{}),
	}
	all := host.Sequence("docmill", log, together.Components...)
	go func() {
		defer close(i.done)
		i.err = all.Run(running, func() {}, running.Done())
		if errors.Is(context.Cause(running), errFull) {
			i.err = errFull
		}
	}()
	go i.watchSpace(running)
	return i, nil
}

// watchSpace ends the instance if its directory stays full: the documents that it has accepted would wait for space.
func (i *Instance) watchSpace(running context.Context) {
	check := time.NewTicker(fullTime / fullChecks)
	defer check.Stop()
	for found := 0; found < fullChecks; {
		select {
		case <-running.Done():
			return
		case <-check.C:
		}
		if full(i.directory.Path()) {
			found++
		} else {
			found = 0
		}
	}
	i.abandon(errFull)
}

// full reports whether there is too little space for another document.
func full(directory string) bool {
	free, err := disk.Free(directory)
	return err == nil && free < datadir.Reserve
}

// Forget deletes the files of a job that is not needed any longer.
func (i *Instance) Forget(job client.Job) {
	id, err := uuid.Parse(job.ID)
	if err == nil {
		err = i.data.DeleteFiles(context.Background(), id)
	}
	if err != nil {
		i.log.Warn("the files of a job stay until the end", zap.String("job_id", job.ID), zap.Error(err))
	}
}

// Done is closed when the instance has ended: it cannot be used any longer.
func (i *Instance) Done() <-chan struct{} { return i.done }

// Err returns why the instance ended by itself. It must be called after Done.
func (i *Instance) Err() error {
	if i.err == nil {
		return errors.New("the conversion engine has ended")
	}
	return fmt.Errorf("the conversion engine failed: %w", i.err)
}

// Stop abandons conversions that are running and removes everything.
func (i *Instance) Stop() error {
	i.abandon(nil)
	<-i.done
	return i.directory.Close()
}
