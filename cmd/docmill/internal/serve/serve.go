// Package serve is the single-process edition of Docmill: the gateway, the converter and the status service in one process, on
// SQLite and a directory.
//
// The services are the same code as in the other edition. Only what they are given differs: a queue and a job store that
// share one SQLite database, and directories instead of buckets. The gateway calls the status service's handler directly.
package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/docmill/docmill/cmd/docmill/internal/datadir"
	"github.com/docmill/docmill/platform/config"
	"github.com/docmill/docmill/platform/health"
	"github.com/docmill/docmill/platform/host"
	"github.com/docmill/docmill/platform/httpserver"
	"github.com/docmill/docmill/platform/seal"
	"github.com/docmill/docmill/platform/service"
	"github.com/docmill/docmill/platform/sqlitequeue"
	"github.com/docmill/docmill/services/converter"
	"github.com/docmill/docmill/services/gateway"
	"github.com/docmill/docmill/services/status"
	statussqlite "github.com/docmill/docmill/services/status/sqlite"
)

const name = "docmill"

// settings are those of the three services, without the connections between them.
type settings struct {
	service.Settings `embed:""`

	Address string `default:"127.0.0.1:8080" help:"Address of the public API."`
	Data    string `default:"~/.local/share/docmill" type:"path" placeholder:"DIR" help:"Directory of the database and the files. One process uses it at a time."`

	Gateway   gateway.Config   `embed:""`
	Converter converter.Config `embed:""`
	Status    status.Config    `embed:""`
	Seal      seal.Config      `embed:""`
}

// Main runs `docmill serve` with these arguments and returns the process's exit code.
func Main(args []string) int {
	about := service.About{
		Name: name + " serve", AdminAddress: "127.0.0.1:8081",
		Description: "Runs all of Docmill in one process, on SQLite and a directory: the way to start, and enough for one machine.",
	}
	source := config.Process()
	source.Args = args
	var s settings
	return service.Main(about, &s, source, os.Stderr, s.assemble)
}
