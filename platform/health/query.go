package health

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// queryTimeout limits a query of a service on this machine.
const queryTimeout = probeTimeout + time.Second

// Query asks the service that listens on the admin address of this machine for an endpoint, such as "healthz". It returns
// nil if the answer is 200. It is the health check of containers, which have no HTTP client.
func Query(ctx context.Context, adminAddress, endpoint string) error {
	host, port, err := net.SplitHostPort(adminAddress)
	if err != nil {
		return fmt.Errorf("setting admin-address: %w", err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1" // the service listens on all addresses
	}
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	url := "http://" + net.JoinHostPort(host, port) + "/" + endpoint
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return fmt.Errorf("query %s: %w", url, err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("query %s: %w", url, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(response.Body, 4<<10))
		return fmt.Errorf("%s answers %s: %s", url, response.Status, body)
	}
	return nil
}
