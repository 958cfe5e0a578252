package testbench_test

import (
	"bufio"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/devstack/testbench"
)

// echo starts a server that returns every line.
func echo(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer connection.Close()
				for lines := bufio.NewScanner(connection); lines.Scan(); {
					_, _ = connection.Write(append(lines.Bytes(), '\n'))
				}
			}()
		}
	}()
	return listener.Addr().String()
}

func dial(t *testing.T, address string) (net.Conn, error) {
	t.Helper()
	connection, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = connection.Close() })
	return connection, exchange(connection, 10*time.Second)
}

func exchange(connection net.Conn, patience time.Duration) error {
	_ = connection.SetDeadline(time.Now().Add(patience))
	if _, err := connection.Write([]byte("hello\n")); err != nil {
		return err
	}
	_, err := bufio.NewReader(connection).ReadString('\n')
	return err
}

func TestLinkCutAndRestored(t *testing.T) {
	t.Parallel()
	link := testbench.Proxy(t, echo(t))
	connection, err := dial(t, link.Address)
	require.NoError(t, err)

	link.Cut()
	require.Error(t, exchange(connection, 10*time.Second), "an open connection is cut")
	_, err = dial(t, link.Address)
	require.Error(t, err, "new connections are refused")

	link.Restore()
	_, err = dial(t, link.Address)
	require.NoError(t, err)
}

func TestLinkStalledAndHealed(t *testing.T) {
	t.Parallel()
	link := testbench.Proxy(t, "tcp://"+echo(t))
	connection, err := dial(t, link.Address)
	require.NoError(t, err)

	link.Stall()
	var timeout net.Error
	require.ErrorAs(t, exchange(connection, 100*time.Millisecond), &timeout)
	require.True(t, timeout.Timeout(), "the connection stays open and receives nothing")

	link.Heal()
	_, err = dial(t, link.Address)
	require.NoError(t, err)
}

func TestLinkRewritesURLs(t *testing.T) {
	t.Parallel()
	link := testbench.Proxy(t, "amqp://"+echo(t)+"/vhost")
	require.Equal(t, "amqp://"+link.Address+"/vhost", link.Through("amqp://127.0.0.1:1/vhost"))
}
