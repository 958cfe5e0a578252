// Package sizing computes what a rate of documents needs besides converters, from what one document costs and from how much
// one unit of each resource can do.
package sizing

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
)

// Headroom is the share of its capacity to which a resource is used. The rest is for bursts and for the loss of a replica.
const Headroom = 0.7

// Resource is something that every document needs.
type Resource struct {
	// Name is what it is, and Unit what there are several of.
	Name string `json:"name"`
	Unit string `json:"unit"`
	// Operation is what a document causes, and PerDocument how many of them.
	Operation   string  `json:"operation"`
	PerDocument float64 `json:"per_document"`
	// Capacity is the number of operations per second of one unit.
	Capacity float64 `json:"capacity"`
	// Origin is where PerDocument and Capacity come from.
	Origin string `json:"origin"`
	// Remedy is what adds a unit.
	Remedy string `json:"remedy"`
	// Fixed means that one installation has one unit: another one requires another installation.
	Fixed bool `json:"fixed"`
}

// Read reads resources in JSON.
func Read(from io.Reader) ([]Resource, error) {
	var resources []Resource
	decoder := json.NewDecoder(from)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&resources); err != nil {
		return nil, fmt.Errorf("read the resources: %w", err)
	}
	if len(resources) == 0 {
		return nil, errors.New("read the resources: there are none")
	}
	for _, r := range resources {
		if r.PerDocument <= 0 || r.Capacity <= 0 {
			return nil, fmt.Errorf("read the resources: per_document and capacity of %q must be above 0", r.Name)
		}
	}
	return resources, nil
}

// Limit returns how many documents per second one unit is enough for.
func (r Resource) Limit() float64 { return Headroom * r.Capacity / r.PerDocument }

// Units returns how many units a number of documents per second needs.
func (r Resource) Units(rate float64) int { return int(math.Ceil(rate / r.Limit())) }

// FirstLimit returns the resource that limits one installation: of those that it has one unit of, the one that is enough for
// the fewest documents. It reports whether there is one.
func FirstLimit(resources []Resource) (first Resource, found bool) {
	for _, r := range resources {
		if r.Fixed && (!found || r.Limit() < first.Limit()) {
			first, found = r, true
		}
	}
	return first, found
}
