package observability_test

import (
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// receiver is an OTLP/HTTP receiver of traces.
type receiver struct {
	URL string

	mu    sync.Mutex
	spans []span
}

// span is a span that was received.
type span struct {
	*trace.Span

	service    string
	attributes map[string]string
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if err := r.receive(request); err != nil {
			t.Error(err)
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(server.Close)
	r.URL = server.URL
	return r
}

func (r *receiver) receive(request *http.Request) error {
	if request.URL.Path != "/v1/traces" {
		return fmt.Errorf("a request for %s", request.URL.Path)
	}
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return err
	}
	var export collector.ExportTraceServiceRequest
	if err := proto.Unmarshal(body, &export); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, resource := range export.GetResourceSpans() {
		service := attributesOf(resource.GetResource().GetAttributes())["service.name"]
		for _, scope := range resource.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				r.spans = append(r.spans, span{Span: s, service: service, attributes: attributesOf(s.GetAttributes())})
			}
		}
	}
	return nil
}

func attributesOf(pairs []*common.KeyValue) map[string]string {
	attributes := map[string]string{}
	for _, pair := range pairs {
		switch value := pair.GetValue().GetValue().(type) {
		case *common.AnyValue_StringValue:
			attributes[pair.GetKey()] = value.StringValue
		case *common.AnyValue_IntValue:
			attributes[pair.GetKey()] = fmt.Sprint(value.IntValue)
		default:
			attributes[pair.GetKey()] = pair.GetValue().String()
		}
	}
	return attributes
}

// trace returns the spans of a trace that were received.
func (r *receiver) trace(id string) []span {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(r.spans), func(s span) bool { return hex.EncodeToString(s.GetTraceId()) != id })
}

// find returns the received spans with that name that concern the job.
func (r *receiver) find(job, name string) []span {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(r.spans), func(s span) bool {
		return s.GetName() != name || s.attributes["docmill.job_id"] != job
	})
}

// paths returns the path from the root to each span, as "service name > service name", sorted and without repetitions. A
// span whose parent was not received begins with "?".
func paths(spans []span) []string {
	byID := map[string]span{}
	for _, s := range spans {
		byID[string(s.GetSpanId())] = s
	}
	var all []string
	for _, s := range spans {
		var path []string
		for {
			path = append(path, s.service+" "+s.GetName())
			parent, found := byID[string(s.GetParentSpanId())]
			if !found {
				if len(s.GetParentSpanId()) > 0 {
					path = append(path, "?")
				}
				break
			}
			s = parent
		}
		slices.Reverse(path)
		all = append(all, strings.Join(path, " > "))
	}
	slices.Sort(all)
	return slices.Compact(all)
}
