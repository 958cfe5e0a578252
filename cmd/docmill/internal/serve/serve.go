// Package serve implements `docmill serve`, the single-process edition of Docmill: all of it in one process, on SQLite
// and a directory.
package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/docmill/docmill/cmd/docmill/internal/assembly"
	"github.com/docmill/docmill/cmd/docmill/internal/datadir"
	"github.com/docmill/docmill/cmd/docmill/internal/invocation"
	"github.com/docmill/docmill/platform/host"
	"github.com/docmill/docmill/platform/httpserver"
	"github.com/docmill/docmill/platform/service"
)

// AdminAddress is the default of the setting admin-address.
const AdminAddress = "127.0.0.1:8081"

// Command is `docmill serve`.
//
//nolint:lll // kong's tags cannot be wrapped
type Command struct {
	Task     string `arg:"" optional:"" enum:"run,healthcheck" default:"run" help:"run (the default), or healthcheck: exits with 0 if the Docmill with these settings answers at the endpoint."`
	Endpoint string `arg:"" optional:"" enum:"healthz,readyz,startupz" default:"healthz" help:"Endpoint of the admin port for healthcheck: healthz (the default; the process runs), readyz (it can answer requests), or startupz (all of its parts have worked at the same time)."`

	service.Settings `embed:""`

	Address string `default:"127.0.0.1:8080" help:"Address of the public API."`
	Data    string `default:"~/.local/share/docmill" type:"path" placeholder:"DIR" help:"Directory of the database and the files, used by one process at a time. Default: ~/.local/share/docmill."`

	Services assembly.Settings `embed:""`
}

// Help is shown by --help.
func (*Command) Help() string {
	return `This is the way to start, and enough for one machine. It opens the public API on --address and a private port with /readyz
and /metrics on --admin-address.

Examples:

    docmill serve
    docmill serve --data=/var/lib/docmill --address=0.0.0.0:8080
    docmill serve healthcheck readyz && echo ready`
}

// Run runs the command.
func (c *Command) Run(streams *invocation.Streams) error {
	about := service.About{Name: "docmill", Command: "docmill serve"}
	if c.Task == "healthcheck" {
		return exit(service.Healthcheck(about, &c.Settings, c.Endpoint, streams.Stderr))
	}
	return exit(service.Run(about, &c.Settings, streams.Stderr, func(p service.Process) (service.Assembly, error) {
		return c.assemble(p, streams.Stdout)
	}))
}

func exit(code int) error { return invocation.Exit(invocation.Code(code)) }

// assemble opens the data directory and assembles the services on it.
func (c *Command) assemble(p service.Process, out io.Writer) (service.Assembly, error) {
	dir, err := datadir.Open(context.Background(), c.Data, p.Log, p.Metrics)
	if err != nil {
		return service.Assembly{}, err
	}
	together, err := assembly.New(c.Services, p, dir, func(api service.Assembly) host.Component {
		return httpserver.Component("http", c.Address, api.Handler, p.Log)
	})
	if err != nil {
		return service.Assembly{}, errors.Join(err, dir.Close())
	}
	together.Components = append(together.Components, c.greeting(out))
	return together, nil
}

// greeting is the component that prints the URL and the data directory.
func (c *Command) greeting(out io.Writer) host.Component {
	return host.Component{Name: "greeting", Run: func(_ context.Context, ready func(), drain <-chan struct{}) error {
		fmt.Fprintf(out, "Docmill is ready at %s\nData directory: %s\n", urlOf(c.Address), c.Data)
		ready()
		<-drain
		return nil
	}}
}

// urlOf returns the URL of an address. If the process listens on all addresses, it is the URL on this machine.
func urlOf(address string) string {
	name, port, err := net.SplitHostPort(address)
	if err != nil {
		return "http://" + address
	}
	if ip := net.ParseIP(name); name == "" || ip != nil && ip.IsUnspecified() {
		name = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(name, port)
}
