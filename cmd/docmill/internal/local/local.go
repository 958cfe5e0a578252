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

	"go.uber.org/zap"

	"github.com/docmill/docmill/client"
	"github.com/docmill/docmill/cmd/docmill/internal/assembly"
	"github.com/docmill/docmill/cmd/docmill/internal/datadir"
	"github.com/docmill/docmill/platform/config"
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

	directory *processdir.Dir
	abandon   context.CancelFunc
	done      chan struct{}
	err       error // readable once done is closed
}

// noLimit is for limits that protect a server from its clients, and time limits that do.
const (
	noLimit     = 1 << 60
	noTimeLimit = 1 << 20 * time.Hour
)

// Start starts an instance with that converter, and returns before it has loaded LibreOffice: documents can be submitted
// at once. The caller calls Stop. What killed processes of this user have left behind is removed.
func Start(ctx context.Context, engine converter.Config, log *zap.Logger) (*Instance, error) {
	var settings assembly.Settings
	if err := config.Parse("docmill", "", &settings, config.Source{}); err != nil { // the defaults
		return nil, err
	}
	settings.Converter = engine
	settings.Gateway.MaxUploadSize, settings.Gateway.MinUploadRate = noLimit, 0
	settings.Gateway.UploadIdleTimeout = noTimeLimit // a slow pipe is not an attack
	directory, err := processdir.Open("", "local")
	if err != nil {
		return nil, err
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
	together, err := assembly.New(settings, process, data, nil) //nolint:contextcheck // it serves with contexts of its own
	if err != nil {
		return nil, errors.Join(err, data.Close())
	}
	running, abandon := context.WithCancel(context.WithoutCancel(ctx))
	i := &Instance{
		Client:    client.New("http://docmill", client.WithHTTPClient(&http.Client{Transport: httpserver.InProcess(together.Handler)})),
		directory: directory, abandon: abandon, done: make(chan struct{}),
	}
	all := host.Sequence("docmill", log, together.Components...)
	go func() {
		defer close(i.done)
		i.err = all.Run(running, func() {}, running.Done())
	}()
	return i, nil
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
	i.abandon()
	<-i.done
	return i.directory.Close()
}
