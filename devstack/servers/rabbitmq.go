package servers

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	rabbithole "github.com/michaelklishin/rabbit-hole/v3"

	"github.com/docmill/docmill/devstack/daemon"
	"github.com/docmill/docmill/devstack/install"
	"github.com/docmill/docmill/devstack/port"
	"github.com/docmill/docmill/devstack/process"
)

const rabbitMQName = "RabbitMQ"

// Positions in rabbitMQSettings.Ports. Other nodes of a cluster use the port mapper of the first one, and have no epmdPort.
const (
	amqpPort = iota
	managementPort
	distributionPort
	epmdPort
	rabbitMQPorts
)

type rabbitMQSettings struct {
	Ports    []int  `json:"ports"`
	Username string `json:"username"`
	Password string `json:"password"`
	Cookie   string `json:"cookie"`
}

// RabbitMQ is a node of a broker, with the management plugin.
type RabbitMQ struct {
	*daemon.Daemon
	// URL has neither credentials nor a vhost: amqp://127.0.0.1:20001
	URL string
	// ManagementURL is the base URL of the management API: http://127.0.0.1:20002
	ManagementURL string
	// Username and Password are those of an administrator.
	Username, Password string

	dir      string
	logFile  func(string) string
	tools    install.Tools
	settings rabbitMQSettings
	// nodes is the size of the cluster and number counts its nodes from 1. first is the node that the others join.
	nodes, number int
	first         *RabbitMQ
	mutex         sync.Mutex
	portMapper    *process.Process // guarded by mutex
}

// newRabbitMQ returns the nodes of a broker, none of which is running. The first is to be started before the others.
func newRabbitMQ(dir string, nodes int, logFile func(string) string, tools install.Tools, s rabbitMQSettings) []*RabbitMQ {
	all := make([]*RabbitMQ, nodes)
	for i := range all {
		r := &RabbitMQ{
			dir: dir, nodes: nodes, number: i + 1, logFile: logFile, tools: tools, settings: s, Username: s.Username, Password: s.Password,
		}
		all[i], r.first = r, r
		if i > 0 {
			r.first, r.dir = all[0], fmt.Sprintf("%s-%d", dir, r.number)
			r.settings.Ports = make([]int, epmdPort)
		}
		r.Daemon = daemon.New(r.title(), r.launchNode)
	}
	return all
}

// title returns the name of the node in logs and errors.
func (r *RabbitMQ) title() string {
	if r.nodes == 1 {
		return rabbitMQName
	}
	return fmt.Sprintf("%s-%d", rabbitMQName, r.number)
}

// Node returns the name of the node in the cluster.
func (r *RabbitMQ) Node() string { return nodeName(r.number) }

func nodeName(number int) string {
	if number == 1 {
		return "docmill@localhost"
	}
	return fmt.Sprintf("docmill%d@localhost", number)
}

func (r *RabbitMQ) dataDir() string { return filepath.Join(r.dir, "data") }

func (r *RabbitMQ) settle() {
	r.URL = "amqp://" + port.Address(r.settings.Ports[amqpPort])
	r.ManagementURL = "http://" + port.Address(r.settings.Ports[managementPort])
}

func (r *RabbitMQ) launchNode(ctx context.Context) (*process.Process, error) {
	if err := r.writeFiles(); err != nil {
		return nil, err
	}
	if err := r.first.startPortMapper(ctx); err != nil {
		return nil, err
	}
	node, err := process.Start(process.Spec{
		Name: r.Name(), Path: r.tools.RabbitMQServer, Env: r.nodeEnvironment(), Dir: r.dir,
		LogFile: r.logFile(filepath.Base(r.dir)),
	})
	if err != nil {
		return nil, err
	}
	if err := node.WaitReady(ctx, r.probe); err != nil {
		node.Kill()
		return nil, err
	}
	return node, nil
}

// probe checks that the AMQP listener is up, which is the last step of the boot.
func (r *RabbitMQ) probe(ctx context.Context) error {
	client, err := r.client(ctx)
	if err != nil {
		return err
	}
	_, err = client.HealthCheckPortListener(uint(r.settings.Ports[amqpPort]))
	return err
}

// writeFiles writes the configuration of the node, which depends on its ports.
func (r *RabbitMQ) writeFiles() error {
	if err := os.MkdirAll(filepath.Join(r.dir, "home"), 0o700); err != nil {
		return fmt.Errorf("create RabbitMQ's directory: %w", err)
	}
	conf := []string{
		"listeners.tcp.1 = " + port.Address(r.settings.Ports[amqpPort]),
		"management.tcp.ip = 127.0.0.1",
		"management.tcp.port = " + strconv.Itoa(r.settings.Ports[managementPort]),
		"default_user = " + r.Username,
		"default_pass = " + r.Password,
		// 30 min in ms, as in the containers. This is the only portable way to set it (3.10 rejects a policy key).
		"consumer_timeout = 1800000",
	}
	conf = append(conf, r.clusterSettings()...)
	files := []struct{ name, text string }{
		{"rabbitmq.conf", strings.Join(conf, "\n") + "\n"},
		{"enabled_plugins", "[rabbitmq_management].\n"},
		{"rabbitmq-env.conf", ""}, // otherwise the one in /etc is read
		{"home/.erlang.cookie", r.settings.Cookie},
	}
	for _, file := range files {
		// Erlang rejects a cookie that others can read; with mode 0400 the owner could not overwrite it.
		if err := os.WriteFile(filepath.Join(r.dir, file.name), []byte(file.text), 0o600); err != nil {
			return fmt.Errorf("configure RabbitMQ: %w", err)
		}
	}
	return nil
}

// clusterSettings lets all nodes but the first join the others when they start for the first time. Without the first one
// there is nothing to join when a cluster begins.
func (r *RabbitMQ) clusterSettings() []string {
	if r.nodes == 1 {
		return nil
	}
	// The recommendation for quorum queues: a node that cannot reach a majority stops serving.
	settings := []string{"cluster_partition_handling = pause_minority"}
	if r.first == r {
		return settings
	}
	settings = append(settings, "cluster_formation.peer_discovery_backend = classic_config")
	for number := range r.nodes {
		settings = append(settings, fmt.Sprintf("cluster_formation.classic_config.nodes.%d = %s", number+1, nodeName(number+1)))
	}
	return settings
}

// nodeEnvironment isolates the node from other installations of RabbitMQ and Erlang on the machine.
func (r *RabbitMQ) nodeEnvironment() []string {
	return append(r.erlangEnvironment(),
		"RABBITMQ_NODENAME="+r.Node(),
		"RABBITMQ_DIST_PORT="+strconv.Itoa(r.settings.Ports[distributionPort]),
		"RABBITMQ_CONF_ENV_FILE="+filepath.Join(r.dir, "rabbitmq-env.conf"),
		"RABBITMQ_CONFIG_FILE="+filepath.Join(r.dir, "rabbitmq.conf"),
		"RABBITMQ_ADVANCED_CONFIG_FILE="+filepath.Join(r.dir, "advanced.config"),
		"RABBITMQ_ENABLED_PLUGINS_FILE="+filepath.Join(r.dir, "enabled_plugins"),
		"RABBITMQ_MNESIA_BASE="+r.dataDir(),
		"RABBITMQ_LOG_BASE="+filepath.Join(r.dir, "log"),
		"RABBITMQ_LOGS=-", // standard output
		// With input allowed, the script replaces itself with the node (exec) instead of waiting for it, so that
		// signals and the exit code are those of the node. -noinput disables the input again.
		"RABBITMQ_ALLOW_INPUT=1",
		// +sbw…: idle schedulers sleep instead of spinning, because tests share two cores with three servers.
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-noinput -kernel inet_dist_use_interface {127,0,0,1} "+
			"+sbwt none +sbwtdcpu none +sbwtdio none",
	)
}

func (r *RabbitMQ) erlangEnvironment() []string {
	return append(environment(filepath.Join(r.dir, "home")),
		"ERL_EPMD_PORT="+strconv.Itoa(r.first.settings.Ports[epmdPort]), "ERL_EPMD_ADDRESS=127.0.0.1")
}

// startPortMapper runs the Erlang port mapper as a child. Otherwise the node would start one as a daemon that is left
// behind, or register with that of the machine.
func (r *RabbitMQ) startPortMapper(ctx context.Context) error {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.portMapper != nil && r.portMapper.Running() {
		return nil
	}
	mapper, err := process.Start(process.Spec{
		Name: "epmd", Path: r.tools.Epmd, Env: r.erlangEnvironment(), LogFile: r.logFile("epmd"),
	})
	if err != nil {
		return err
	}
	r.portMapper = mapper
	dialer := net.Dialer{Timeout: time.Second}
	err = mapper.WaitReady(ctx, func(ctx context.Context) error {
		connection, err := dialer.DialContext(ctx, "tcp", port.Address(r.settings.Ports[epmdPort]))
		if err != nil {
			return err
		}
		return connection.Close()
	})
	if err != nil {
		mapper.Kill()
	}
	return err
}

func (r *RabbitMQ) stopPortMapper() {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.portMapper != nil {
		r.portMapper.Kill() // it has no data
	}
}

// Control runs rabbitmqctl on the node, for what the management API cannot do, such as raising an alarm. It takes about
// 2 s.
func (r *RabbitMQ) Control(ctx context.Context, args ...string) error {
	if r.tools.RabbitMQServer == "" {
		return daemon.ErrNotOurs
	}
	command := exec.CommandContext(ctx, filepath.Join(filepath.Dir(r.tools.RabbitMQServer), "rabbitmqctl"), args...)
	command.Env = r.nodeEnvironment()
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("run rabbitmqctl %s: %w: %s", strings.Join(args, " "), err, output)
	}
	return nil
}

// client returns a client of the management API whose requests end with ctx.
func (r *RabbitMQ) client(ctx context.Context) (*rabbithole.Client, error) {
	client, err := rabbithole.NewTLSClient(r.ManagementURL, r.Username, r.Password, boundTransport{ctx})
	if err != nil {
		return nil, fmt.Errorf("create a client of RabbitMQ's management API: %w", err)
	}
	client.SetTimeout(30 * time.Second)
	return client, nil
}

// boundTransport adds a context to the requests of a library that does not support contexts.
type boundTransport struct{ ctx context.Context } //nolint:containedctx // that is its purpose

func (t boundTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	return http.DefaultTransport.RoundTrip(request.WithContext(t.ctx))
}

// CreateVhost creates a virtual host and grants the administrator access to it.
func (r *RabbitMQ) CreateVhost(ctx context.Context, name string) error {
	client, err := r.client(ctx)
	if err != nil {
		return err
	}
	response, err := client.PutVhost(name, rabbithole.VhostSettings{})
	if err := finish(response, err); err != nil {
		return fmt.Errorf("create vhost %s: %w", name, err)
	}
	all := rabbithole.Permissions{Configure: ".*", Write: ".*", Read: ".*"}
	response, err = client.UpdatePermissionsIn(name, r.Username, all)
	if err := finish(response, err); err != nil {
		return fmt.Errorf("grant access to vhost %s: %w", name, err)
	}
	return nil
}

// DeleteVhost deletes a virtual host with its contents and closes its connections.
func (r *RabbitMQ) DeleteVhost(ctx context.Context, name string) error {
	client, err := r.client(ctx)
	if err != nil {
		return err
	}
	response, err := client.DeleteVhost(name)
	if err := finish(response, err); err != nil {
		return fmt.Errorf("delete vhost %s: %w", name, err)
	}
	return nil
}

func finish(response *http.Response, err error) error {
	if err != nil {
		return err
	}
	return response.Body.Close()
}
