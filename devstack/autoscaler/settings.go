package autoscaler

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"
)

// Settings are those of a ScaledObject.
type Settings struct {
	// PollingInterval is the time between two polls of KEDA.
	PollingInterval time.Duration
	// CooldownPeriod is how long no trigger is active before the last replicas are removed.
	CooldownPeriod time.Duration
	// MinReplicas is 0 if all replicas may be removed.
	MinReplicas, MaxReplicas int
	// Target is the value of the metric for each replica.
	Target float64
	// ScaleUp and ScaleDown limit changes.
	ScaleUp, ScaleDown Rules
}

// Rules limit the changes in one direction.
type Rules struct {
	// Stabilization is how long a proposed number of replicas is considered.
	Stabilization time.Duration
	// Policies are alternatives. Without one, any change is possible.
	Policies []Policy
	// Select is which of the policies applies: "Max" (the default), "Min", or "Disabled" for no changes.
	Select string
}

// Policy limits the change within a period.
type Policy struct {
	// Percent means that Value is a percentage of the replicas at the start of the period, and not a number of replicas.
	Percent bool
	Value   int
	Period  time.Duration
}

// up returns the greatest number of replicas, from the number at the start of the period.
func (p Policy) up(start int) int {
	if p.Percent {
		return int(math.Ceil(float64(start) * (1 + float64(p.Value)/100)))
	}
	return start + p.Value
}

// down returns the least number of replicas, from the number at the start of the period.
func (p Policy) down(start int) int {
	if p.Percent {
		return int(float64(start) * (1 - float64(p.Value)/100))
	}
	return start - p.Value
}

// limit returns the limit of the policy that applies, and whether there is one that permits a change. A greater value
// permits a greater change.
func (r Rules) limit(of func(Policy) int) (limit int, permitted bool) {
	if r.Select == "Disabled" {
		return 0, false
	}
	if len(r.Policies) == 0 {
		return math.MaxInt, true
	}
	limit = of(r.Policies[0])
	for _, policy := range r.Policies[1:] {
		if r.Select == "Min" {
			limit = min(limit, of(policy))
		} else {
			limit = max(limit, of(policy))
		}
	}
	return limit, true
}

// scaledObject is the part of a ScaledObject that is needed here. The defaults are those of KEDA and Kubernetes.
type scaledObject struct {
	Kind string `yaml:"kind"`
	Spec struct {
		PollingInterval int `yaml:"pollingInterval"`
		CooldownPeriod  int `yaml:"cooldownPeriod"`
		MinReplicaCount int `yaml:"minReplicaCount"`
		MaxReplicaCount int `yaml:"maxReplicaCount"`
		Advanced        struct {
			HPA struct {
				Behavior struct {
					ScaleUp   rules `yaml:"scaleUp"`
					ScaleDown rules `yaml:"scaleDown"`
				} `yaml:"behavior"`
			} `yaml:"horizontalPodAutoscalerConfig"`
		} `yaml:"advanced"`
		Triggers []struct {
			Type     string            `yaml:"type"`
			Metadata map[string]string `yaml:"metadata"`
		} `yaml:"triggers"`
	} `yaml:"spec"`
}

type rules struct {
	Stabilization int      `yaml:"stabilizationWindowSeconds"`
	SelectPolicy  string   `yaml:"selectPolicy"`
	Policies      []policy `yaml:"policies"`
}

type policy struct {
	Type          string `yaml:"type"`
	Value         int    `yaml:"value"`
	PeriodSeconds int    `yaml:"periodSeconds"`
}

// Read reads the settings of a ScaledObject in YAML with RabbitMQ triggers, all of which must have the same target.
func Read(from io.Reader) (Settings, error) {
	content, err := io.ReadAll(from)
	if err != nil {
		return Settings{}, fmt.Errorf("read the ScaledObject: %w", err)
	}
	read := defaults()
	if err := yaml.Unmarshal(content, &read); err != nil {
		return Settings{}, fmt.Errorf("read the ScaledObject: %w", err)
	}
	if read.Kind != "ScaledObject" {
		return Settings{}, fmt.Errorf("read the ScaledObject: the object is a %q", read.Kind)
	}
	target, err := read.target()
	if err != nil {
		return Settings{}, fmt.Errorf("read the ScaledObject: %w", err)
	}
	spec, behavior := read.Spec, read.Spec.Advanced.HPA.Behavior
	return Settings{
		PollingInterval: seconds(spec.PollingInterval), CooldownPeriod: seconds(spec.CooldownPeriod),
		MinReplicas: spec.MinReplicaCount, MaxReplicas: spec.MaxReplicaCount, Target: target,
		ScaleUp: behavior.ScaleUp.rules(), ScaleDown: behavior.ScaleDown.rules(),
	}, nil
}

func defaults() scaledObject {
	var object scaledObject
	object.Spec.PollingInterval, object.Spec.CooldownPeriod, object.Spec.MaxReplicaCount = 30, 300, 100
	behavior := &object.Spec.Advanced.HPA.Behavior
	behavior.ScaleUp.Policies = []policy{{"Percent", 100, 15}, {"Pods", 4, 15}}
	behavior.ScaleDown.Stabilization = 300
	behavior.ScaleDown.Policies = []policy{{"Percent", 100, 15}}
	return object
}

// target returns the target of the RabbitMQ triggers.
func (o scaledObject) target() (float64, error) {
	var target float64
	for _, trigger := range o.Spec.Triggers {
		if trigger.Type != "rabbitmq" {
			continue
		}
		value, err := strconv.ParseFloat(trigger.Metadata["value"], 64)
		switch {
		case err != nil || value <= 0:
			return 0, fmt.Errorf("the value %q of a trigger is not a number above 0", trigger.Metadata["value"])
		case target != 0 && target != value:
			return 0, fmt.Errorf("the triggers have different values, %g and %g", target, value)
		}
		target = value
	}
	if target == 0 {
		return 0, errors.New("it has no RabbitMQ trigger")
	}
	return target, nil
}

func (r rules) rules() Rules {
	converted := Rules{Stabilization: seconds(r.Stabilization), Select: r.SelectPolicy}
	for _, policy := range r.Policies {
		converted.Policies = append(converted.Policies, Policy{
			Percent: policy.Type == "Percent", Value: policy.Value, Period: seconds(policy.PeriodSeconds),
		})
	}
	return converted
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }
