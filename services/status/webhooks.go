package status

import (
	"context"
	"time"

	"github.com/docmill/docmill/platform/host"
	"github.com/docmill/docmill/services/status/internal/clock"
	"github.com/docmill/docmill/services/status/internal/dispatch"
	"github.com/docmill/docmill/services/status/internal/webhook"
)

// webhookInterval is how often the database is asked for webhooks that are due again.
const webhookInterval = time.Second

// webhooks returns the components that send webhooks and delete old ones. Without a secret none are sent.
func webhooks(config webhook.Config, deps Deps, clock *clock.Clock) ([]host.Component, error) {
	upkeep := dispatch.NewUpkeep(deps.Jobs, clock, config.Retention, deps.Log, deps.Metrics)
	attempts := dispatch.NewMetrics(deps.Metrics)
	components := []host.Component{{Name: "upkeep of webhooks", Run: upkeep.Run}}
	if !config.Enabled() {
		return components, nil
	}
	sender, err := webhook.NewSender(config, nil)
	if err != nil {
		return nil, err
	}
	dispatcher := dispatch.New(dispatch.Config{
		Total: config.Concurrency, PerReceiver: config.PerReceiver, Timeout: config.Timeout, Every: webhookInterval,
	}, deps.Jobs, sender, deps.Log, attempts)
	run := func(ctx context.Context, ready func(), drain <-chan struct{}) error {
		defer sender.Close()
		return dispatcher.Run(ctx, ready, drain)
	}
	return append(components, host.Component{Name: "webhooks", Run: run}), nil
}
