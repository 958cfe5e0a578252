package chaos

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/docmill/docmill/devstack/system"
)

// releaseFaults are the states of an upgrade in the wrong order.
func releaseFaults() []fault {
	return []fault{{name: "old converter beside new gateways", hold: 6 * time.Second, gentle: true, inject: oldConverter}}
}

// oldConverter replaces a converter with one of an earlier release.
func oldConverter(ctx context.Context, d *deployment, random *rand.Rand) (heal, error) {
	if d.earlier.Binaries == "" {
		return none, errors.ErrUnsupported
	}
	r := pick(random, d.converters)
	r.Switch(d.earlier)
	return func(ctx context.Context) error {
		r.Switch(system.Release{Binaries: d.binaries})
		return r.restart(ctx)
	}, r.restart(ctx)
}
