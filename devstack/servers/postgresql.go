package servers

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/docmill/docmill/devstack/daemon"
	"github.com/docmill/docmill/devstack/install"
	"github.com/docmill/docmill/devstack/port"
	"github.com/docmill/docmill/devstack/process"
)

const (
	postgreSQLName = "PostgreSQL"
	// The role of the services, and the superuser that creates its databases.
	databaseRole  = "docmill"
	databaseAdmin = "postgres"
)

type postgreSQLSettings struct {
	Ports         []int  `json:"ports"`
	AdminPassword string `json:"admin_password"`
	Password      string `json:"password"`
}

// PostgreSQL is a database cluster.
type PostgreSQL struct {
	*daemon.Daemon
	// Address is host:port.
	Address string
	// Password is that of the role docmill, which owns every database that CreateDatabase creates and has no other
	// rights.
	Password string
	// AdminPassword is that of the superuser postgres.
	AdminPassword string

	dir      string
	logFile  func(string) string
	tools    install.Tools
	settings postgreSQLSettings
	durable  bool
}

func newPostgreSQL(
	dir string, logFile func(string) string, tools install.Tools, s postgreSQLSettings, durable bool,
) *PostgreSQL {
	p := &PostgreSQL{
		dir: dir, logFile: logFile, tools: tools, settings: s, durable: durable,
		Password: s.Password, AdminPassword: s.AdminPassword,
	}
	p.Daemon = daemon.New(postgreSQLName, p.launchCluster)
	return p
}

func (p *PostgreSQL) settle() { p.Address = port.Address(p.settings.Ports[0]) }

// URL returns the URL of a database for the role docmill, without the password.
func (p *PostgreSQL) URL(database string) string { return p.url(databaseRole, database) }

func (p *PostgreSQL) url(role, database string) string {
	u := url.URL{Scheme: "postgres", User: url.User(role), Host: p.Address, Path: database, RawQuery: "sslmode=disable"}
	return u.String()
}

func (p *PostgreSQL) dataDir() string { return filepath.Join(p.dir, "data") }

func (p *PostgreSQL) launchCluster(ctx context.Context) (*process.Process, error) {
	credential, err := p.credential()
	if err != nil {
		return nil, err
	}
	if err := p.initialize(ctx, credential); err != nil {
		return nil, err
	}
	for {
		cluster, err := p.launchOnce(ctx, credential)
		if err == nil || !blockedByPredecessor(err) || ctx.Err() != nil {
			return cluster, err
		}
	}
}

// blockedByPredecessor reports whether a killed cluster still exists: its children hold the shared memory until they
// notice that their parent has ended, or the cluster is still ending after its own parent died. Both pass within
// moments.
func blockedByPredecessor(err error) bool {
	var exit *process.ExitError
	return errors.As(err, &exit) && (strings.Contains(exit.LogTail, "pre-existing shared memory block") ||
		strings.Contains(exit.LogTail, `lock file "postmaster.pid" already exists`))
}

func (p *PostgreSQL) launchOnce(ctx context.Context, credential *syscall.Credential) (*process.Process, error) {
	args := []string{
		"-D", p.dataDir(), "-p", strconv.Itoa(p.settings.Ports[0]),
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
		// Many test packages share one cluster, each with its own pools.
		"-c", "max_connections=300",
	}
	if !p.durable {
		// synchronous_commit stays on: without it, a killed server loses its latest transactions, which are only in its
		// memory (measured: 135 of 450). Data written without fsync is in the kernel's cache and survives.
		args = append(args, "-c", "fsync=off", "-c", "full_page_writes=off")
	}
	cluster, err := process.Start(process.Spec{
		Name: postgreSQLName, Path: filepath.Join(p.tools.PostgreSQLBin, "postgres"), Args: args,
		Env: environment(p.dir), Dir: p.dir, LogFile: p.logFile("postgresql"), Credential: credential,
		StopSignal: syscall.SIGINT, // "fast": closes open connections instead of waiting for them
		// "immediate", without a checkpoint: as safe for the data as SIGKILL, but it frees the shared memory.
		DeathSignal: syscall.SIGQUIT,
	})
	if err != nil {
		return nil, err
	}
	if err := cluster.WaitReady(ctx, p.ensureRole); err != nil {
		cluster.Kill()
		return nil, err
	}
	return cluster, nil
}

// credential returns the user to run as. PostgreSQL refuses to run as root, so root runs it as the user of the Debian
// package.
func (p *PostgreSQL) credential() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil //nolint:nilnil // nil means "as this process"
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL does not run as root: %w", err)
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("user postgres: %w", err)
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("user postgres: %w", err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// initialize creates the cluster once. It creates it in a temporary directory and renames that, so that an interrupted
// start does not leave an incomplete cluster.
func (p *PostgreSQL) initialize(ctx context.Context, credential *syscall.Credential) error {
	if _, err := os.Stat(p.dataDir()); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := p.makeDir(credential); err != nil {
		return err
	}
	passwordFile, making := filepath.Join(p.dir, "password"), filepath.Join(p.dir, "data.new")
	defer os.Remove(passwordFile)
	if err := os.WriteFile(passwordFile, []byte(p.AdminPassword), 0o600); err != nil {
		return fmt.Errorf("prepare PostgreSQL's password: %w", err)
	}
	if credential != nil {
		if err := os.Chown(passwordFile, int(credential.Uid), int(credential.Gid)); err != nil {
			return fmt.Errorf("prepare PostgreSQL's password: %w", err)
		}
	}
	if err := os.RemoveAll(making); err != nil {
		return fmt.Errorf("remove an incomplete cluster: %w", err)
	}
	args := []string{
		"-D", making, "-U", databaseAdmin, "-A", "scram-sha-256", "--pwfile", passwordFile,
		"--encoding=UTF8", "--locale=C.UTF-8",
	}
	if !p.durable {
		args = append(args, "--no-sync")
	}
	cmd := exec.CommandContext(ctx, filepath.Join(p.tools.PostgreSQLBin, "initdb"), args...)
	cmd.Env, cmd.Dir, cmd.SysProcAttr = environment(p.dir), p.dir, &syscall.SysProcAttr{Credential: credential}
	if output, err := cmd.CombinedOutput(); err != nil {
		// A killed program does not always say that ctx has ended.
		return fmt.Errorf("create PostgreSQL's cluster: %w:\n%s", errors.Join(context.Cause(ctx), err), output)
	}
	if err := os.Rename(making, p.dataDir()); err != nil {
		return fmt.Errorf("move PostgreSQL's cluster into place: %w", err)
	}
	return nil
}

// makeDir creates the directory of the cluster for its user, who must be able to reach it.
func (p *PostgreSQL) makeDir(credential *syscall.Credential) error {
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return fmt.Errorf("create PostgreSQL's directory: %w", err)
	}
	if credential == nil {
		return nil
	}
	if err := passable(filepath.Dir(p.dir)); err != nil {
		return fmt.Errorf("the user postgres cannot reach its data: %w", err)
	}
	if err := os.Chown(p.dir, int(credential.Uid), int(credential.Gid)); err != nil {
		return fmt.Errorf("change the owner of PostgreSQL's directory: %w", err)
	}
	return nil
}

// ensureRole creates the role of the services. It is also the readiness probe, because it succeeds only if the cluster
// is ready.
func (p *PostgreSQL) ensureRole(ctx context.Context) error {
	const duplicateObject = "42710"
	err := p.Execute(ctx, "CREATE ROLE "+databaseRole+" LOGIN PASSWORD '"+p.Password+"'")
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == duplicateObject {
		return nil
	}
	return err
}

// CreateDatabase creates an empty database that the role docmill owns. A database that exists is not an error.
func (p *PostgreSQL) CreateDatabase(ctx context.Context, name string) error {
	const duplicateDatabase = "42P04"
	err := p.Execute(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()+" OWNER "+databaseRole)
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == duplicateDatabase {
		return nil
	}
	if err != nil {
		return fmt.Errorf("create database %s: %w", name, err)
	}
	return nil
}

// MoveTable moves a table to an empty directory, for example one on a disk that can be full.
func (p *PostgreSQL) MoveTable(ctx context.Context, database, table, dir string) error {
	credential, err := p.credential()
	if err != nil {
		return err
	}
	if credential != nil {
		if err := os.Chown(dir, int(credential.Uid), int(credential.Gid)); err != nil {
			return fmt.Errorf("change the owner of %s: %w", dir, err)
		}
	}
	const space = "moved"
	if err := p.Execute(ctx, "CREATE TABLESPACE "+space+" LOCATION '"+dir+"'"); err != nil {
		return fmt.Errorf("create a tablespace in %s: %w", dir, err)
	}
	statement := "ALTER TABLE " + pgx.Identifier{table}.Sanitize() + " SET TABLESPACE " + space
	if err := p.ExecuteIn(ctx, database, statement); err != nil {
		return fmt.Errorf("move table %s: %w", table, err)
	}
	return nil
}

// DropDatabase drops a database and closes its connections.
func (p *PostgreSQL) DropDatabase(ctx context.Context, name string) error {
	if err := p.Execute(ctx, "DROP DATABASE IF EXISTS "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)"); err != nil {
		return fmt.Errorf("drop database %s: %w", name, err)
	}
	return nil
}

// Execute runs one statement as the superuser, in that superuser's database.
func (p *PostgreSQL) Execute(ctx context.Context, statement string) error {
	return p.ExecuteIn(ctx, databaseAdmin, statement)
}

// ExecuteIn is like Execute, in another database.
func (p *PostgreSQL) ExecuteIn(ctx context.Context, database, statement string) (err error) {
	config, err := pgx.ParseConfig(p.url(databaseAdmin, database))
	if err != nil {
		return fmt.Errorf("read the database's URL: %w", err)
	}
	config.Password = p.AdminPassword
	config.ConnectTimeout = 5 * time.Second
	connection, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, connection.Close(context.WithoutCancel(ctx))) }()
	_, err = connection.Exec(ctx, statement)
	return err
}
