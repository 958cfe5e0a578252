package autoscaler_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/devstack/autoscaler"
)

const object = `
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
spec:
  pollingInterval: 3
  cooldownPeriod: 60
  maxReplicaCount: 50
  advanced:
    horizontalPodAutoscalerConfig:
      behavior:
        scaleUp:
          policies:
          - {type: Percent, value: 300, periodSeconds: 15}
          - {type: Pods, value: 10, periodSeconds: 15}
        scaleDown:
          stabilizationWindowSeconds: 120
          policies:
          - {type: Percent, value: 50, periodSeconds: 60}
  triggers:
  - {type: rabbitmq, metadata: {value: "8"}}
  - {type: prometheus, metadata: {threshold: "60"}}
  - {type: rabbitmq, metadata: {value: "8"}}
`

func read(t *testing.T, object string) autoscaler.Settings {
	t.Helper()
	settings, err := autoscaler.Read(strings.NewReader(object))
	require.NoError(t, err)
	return settings
}

func TestRead(t *testing.T) {
	t.Parallel()
	require.Equal(t, autoscaler.Settings{
		PollingInterval: 3 * time.Second, CooldownPeriod: time.Minute, MaxReplicas: 50, Target: 8,
		ScaleUp: autoscaler.Rules{Policies: []autoscaler.Policy{
			{Percent: true, Value: 300, Period: 15 * time.Second}, {Value: 10, Period: 15 * time.Second},
		}},
		ScaleDown: autoscaler.Rules{Stabilization: 2 * time.Minute, Policies: []autoscaler.Policy{
			{Percent: true, Value: 50, Period: time.Minute},
		}},
	}, read(t, object))
}

func TestDefaultsAreThoseOfKEDAAndKubernetes(t *testing.T) {
	t.Parallel()
	settings := read(t, `{kind: ScaledObject, spec: {triggers: [{type: rabbitmq, metadata: {value: "20"}}]}}`)
	require.Equal(t, 30*time.Second, settings.PollingInterval)
	require.Equal(t, 5*time.Minute, settings.CooldownPeriod)
	require.Equal(t, 100, settings.MaxReplicas)
	require.Equal(t, 5*time.Minute, settings.ScaleDown.Stabilization)
	require.Len(t, settings.ScaleUp.Policies, 2)
}

func TestInvalidObjects(t *testing.T) {
	t.Parallel()
	for object, complaint := range map[string]string{
		`{kind: Deployment}`:   `the object is a "Deployment"`,
		`{kind: ScaledObject}`: "no RabbitMQ trigger",
		`{kind: ScaledObject, spec: {triggers: [{type: rabbitmq, metadata: {value: "-1"}}]}}`:                                          `"-1"`,
		`{kind: ScaledObject, spec: {triggers: [{type: rabbitmq, metadata: {value: "8"}}, {type: rabbitmq, metadata: {value: "9"}}]}}`: "different values, 8 and 9",
		`kind: [`: "read the ScaledObject",
	} {
		_, err := autoscaler.Read(strings.NewReader(object))
		require.ErrorContains(t, err, complaint, object)
	}
}

func TestKEDAScalesFromAndToZero(t *testing.T) {
	t.Parallel()
	a := autoscaler.New(read(t, object))
	require.Equal(t, 0, a.Poll(0, 0, 0), "nothing to do")
	require.Equal(t, 1, a.Poll(3*time.Second, 500, 0), "KEDA starts one; the HPA starts the others")
	require.Equal(t, 7, a.Poll(6*time.Second, 1, 7), "the HPA decides while something is queued")
	require.Equal(t, 7, a.Poll(65*time.Second, 0, 7), "during the cooldown period")
	require.Equal(t, 0, a.Poll(66*time.Second, 0, 7), "after it")

	settings := read(t, object)
	settings.MinReplicas = 2
	a = autoscaler.New(settings)
	require.Equal(t, 2, a.Poll(0, 0, 0))
	require.Equal(t, 5, a.Poll(time.Hour, 0, 5), "the HPA removes the others")
}

func TestHPAFollowsTheMetric(t *testing.T) {
	t.Parallel()
	a := autoscaler.New(autoscaler.Settings{MaxReplicas: 50, Target: 8})
	require.Equal(t, 0, a.Sync(0, 1000, 0), "disabled at zero replicas")
	require.Equal(t, 13, a.Sync(0, 100, 1), "100/8, rounded up")
	require.Equal(t, 10, a.Sync(15*time.Second, 87, 10), "within 10% of the target")
	require.Equal(t, 12, a.Sync(30*time.Second, 89, 10), "above that")
	require.Equal(t, 50, a.Sync(45*time.Second, 10000, 10), "no more than the maximum")
	require.Equal(t, 1, a.Sync(60*time.Second, 0, 10), "never to zero")
}

func TestPoliciesLimitTheChangeWithinAPeriod(t *testing.T) {
	t.Parallel()
	a := autoscaler.New(read(t, object))
	require.Equal(t, 11, a.Sync(0, 10000, 1), "10 more, which is more than 300%")
	require.Equal(t, 11, a.Sync(5*time.Second, 10000, 11), "10 s later in the same period")
	require.Equal(t, 44, a.Sync(15*time.Second, 10000, 11), "300% more, which is more than 10")
	require.Equal(t, 50, a.Sync(30*time.Second, 10000, 44))
}

func TestReplicasAreRemovedLate(t *testing.T) {
	t.Parallel()
	a := autoscaler.New(read(t, object))
	replicas := a.Sync(0, 80, 10)
	require.Equal(t, 10, replicas)
	for now := 15 * time.Second; now < 2*time.Minute; now += 15 * time.Second {
		require.Equal(t, 10, a.Sync(now, 8, 10), "the highest proposal within two minutes counts")
	}
	require.Equal(t, 5, a.Sync(2*time.Minute, 8, 10), "half of them in a minute")
	require.Equal(t, 5, a.Sync(2*time.Minute+45*time.Second, 8, 5))
	require.Equal(t, 2, a.Sync(3*time.Minute, 8, 5))
	require.Equal(t, 10, a.Sync(3*time.Minute+15*time.Second, 80, 2), "more at once")
}

// TestTheFirstDecisionRemovesNothing: the metric is often 0 when an autoscaler is new.
func TestTheFirstDecisionRemovesNothing(t *testing.T) {
	t.Parallel()
	a := autoscaler.New(read(t, object))
	require.Equal(t, 10, a.Sync(0, 0, 10))
	require.Equal(t, 10, a.Sync(time.Minute, 0, 10))
	require.Equal(t, 5, a.Sync(2*time.Minute, 0, 10))
}

func TestDisabledPolicy(t *testing.T) {
	t.Parallel()
	a := autoscaler.New(autoscaler.Settings{MaxReplicas: 50, Target: 8, ScaleDown: autoscaler.Rules{Select: "Disabled"}})
	require.Equal(t, 10, a.Sync(0, 0, 10))
}

func TestMinSelectsTheSmallestChange(t *testing.T) {
	t.Parallel()
	settings := read(t, object)
	settings.ScaleUp.Select = "Min"
	require.Equal(t, 4, autoscaler.New(settings).Sync(0, 10000, 1), "300%, which is less than 10")
	settings.ScaleDown = autoscaler.Rules{Select: "Min", Policies: []autoscaler.Policy{
		{Percent: true, Value: 50, Period: time.Minute}, {Value: 1, Period: time.Minute},
	}}
	require.Equal(t, 9, autoscaler.New(settings).Sync(0, 0, 10), "one, which is less than 50%")
}
