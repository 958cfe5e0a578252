package simulation_test

import (
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/devstack/autoscaler"
	"github.com/docmill/docmill/devstack/simulation"
)

// exponential is a sample of the exponential distribution with the mean 1: its quantiles.
func exponential() simulation.Sample {
	const n = 20_000
	sample := make(simulation.Sample, n)
	for i := range sample {
		sample[i] = -math.Log(1 - (float64(i)+0.5)/n)
	}
	return sample
}

// TestWaitsAreThoseOfQueueingTheory compares with M/M/c, for which the share of documents that wait longer than t is
// C·exp(-(c·μ-λ)·t), where C is Erlang's C formula.
func TestWaitsAreThoseOfQueueingTheory(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		slots, replicas int
		rate, waiting   float64 // waiting is Erlang's C
	}{
		"1 slot, 70% busy":                   {1, 1, 0.7, 0.7},
		"4 slots, 80% busy":                  {4, 1, 3.2, 0.5964},
		"4 slots in 2 converters, the same":  {2, 2, 3.2, 0.5964},
		"10 slots in 5 converters, 90% busy": {2, 5, 9, 0.6687},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result := simulation.Run(simulation.Config{
				Load:     simulation.Random{Pattern: simulation.Steady, Rate: c.rate, Conversions: exponential()},
				Duration: 200 * time.Hour, Slots: c.slots, Replicas: c.replicas, Seed: 1,
			})
			require.InEpsilon(t, c.rate*(200*time.Hour).Seconds(), result.Converted, 0.01)
			spare := float64(c.slots*c.replicas) - c.rate
			for _, percentile := range []float64{95, 99} {
				expected := math.Log(c.waiting/(1-percentile/100)) / spare
				require.InEpsilon(t, expected, result.Wait(percentile).Seconds(), 0.05, "p%g", percentile)
			}
			require.InEpsilon(t, c.rate, result.Busy, 0.02, "Little's law")
			require.InEpsilon(t, c.rate/float64(c.slots*c.replicas), result.Utilization, 0.02)
			require.InDelta(t, c.replicas, result.Replicas, 0.001)
		})
	}
}

func TestRatesFollowThePattern(t *testing.T) {
	t.Parallel()
	const rate = 10
	for pattern, average := range map[simulation.Pattern]float64{
		simulation.Steady: 1, simulation.Diurnal: 1, simulation.Burst: 1 + 4./6,
	} {
		result := simulation.Run(simulation.Config{
			Load:     simulation.Random{Pattern: pattern, Rate: rate, Conversions: simulation.Sample{0.001}},
			Duration: time.Hour, Slots: 1, Replicas: 1,
		})
		require.InEpsilon(t, average*rate*time.Hour.Seconds(), result.Converted, 0.02, pattern)
	}
	require.InDelta(t, 0.2, simulation.Diurnal.At(0), 0.001)
	require.InDelta(t, simulation.Diurnal.Peak(), simulation.Diurnal.At(0.5), 0.001)
	require.InDelta(t, simulation.Burst.Peak(), simulation.Burst.At(0.4), 0.001)
	require.InDelta(t, 1, simulation.Burst.At(0.6), 0.001)
}

func scaled() *autoscaler.Settings {
	return &autoscaler.Settings{
		PollingInterval: 3 * time.Second, CooldownPeriod: time.Minute, MaxReplicas: 1000, Target: 1.6,
		ScaleDown: autoscaler.Rules{Stabilization: time.Minute},
	}
}

// TestFromZero: one document every 10 minutes finds no converter.
func TestFromZero(t *testing.T) {
	t.Parallel()
	result := simulation.Run(simulation.Config{
		Load: simulation.Recorded{
			{Arrival: 0.5, Conversion: 1}, {Arrival: 600.5, Conversion: 1}, {Arrival: 1200.5, Conversion: 1},
		},
		Slots: 2, Starts: simulation.Sample{4}, Overheads: simulation.Sample{0.25}, Autoscaler: scaled(),
	})
	require.Equal(t, 3, result.Converted)
	require.InDelta(t, 2.5+4+1+0.25, result.TimeToResult(50).Seconds(), 0.01, "the next poll, the start, the conversion, the overhead")
	require.InDelta(t, 2.5+4, result.Wait(99).Seconds(), 0.01)
	require.Equal(t, 1, result.MostReplicas)
	require.Equal(t, 2, result.Removed, "after the cooldown, except at the end")
	require.Less(t, result.Replicas, 0.2)
}

// TestAConversionIsNotIdle: the autoscaler must see commands that are being converted, which are not in the queue.
func TestAConversionIsNotIdle(t *testing.T) {
	t.Parallel()
	for _, interval := range []time.Duration{0, 5 * time.Second} {
		result := simulation.Run(simulation.Config{
			Load:  simulation.Recorded{{Arrival: 0.5, Conversion: 500}, {Arrival: 900, Conversion: 1}},
			Slots: 2, Starts: simulation.Sample{4}, Autoscaler: scaled(), StatisticsInterval: interval,
		})
		require.Zero(t, result.Repeated)
		require.Equal(t, 1, result.Removed)
		require.Equal(t, 2, result.Converted)
	}
}

func TestScalesWithTheLoad(t *testing.T) {
	t.Parallel()
	config := simulation.Config{
		Load:     simulation.Random{Pattern: simulation.Diurnal, Rate: 100, Conversions: exponential()},
		Duration: 2 * time.Hour, Slots: 2, Starts: simulation.Sample{4}, Autoscaler: scaled(), DrainTimeout: time.Minute, Seed: 1,
		StatisticsInterval: 5 * time.Second,
	}
	result := simulation.Run(config)
	require.InEpsilon(t, 100*(2*time.Hour).Seconds(), result.Converted, 0.02)
	require.GreaterOrEqual(t, result.MostReplicas, 180/2, "180 conversions at the peak")
	require.Less(t, result.Replicas, 80.)
	require.Less(t, result.TimeToResult(95), 30*time.Second)
	require.Positive(t, result.Removed)
	require.Zero(t, result.Repeated, "no conversion takes longer than the drain")
	require.Equal(t, result, simulation.Run(config), "the same seed, the same result")
}

// TestASteadyLoadKeepsItsConverters: the first decisions must not be those about an empty queue.
func TestASteadyLoadKeepsItsConverters(t *testing.T) {
	t.Parallel()
	result := simulation.Run(simulation.Config{
		Load:     simulation.Random{Pattern: simulation.Steady, Rate: 100, Conversions: exponential()},
		Duration: time.Hour, Slots: 2, Replicas: 63, Starts: simulation.Sample{4}, Autoscaler: scaled(),
		StatisticsInterval: 5 * time.Second, DrainTimeout: time.Minute,
	})
	require.InDelta(t, 100/1.6, result.Replicas, 8)
	require.Less(t, result.MostReplicas, 100)
	require.Less(t, result.Wait(99), time.Second)
}

// TestAbandonedConversionsAreRepeated: what does not end within the drain timeout is converted again, and is counted once.
func TestAbandonedConversionsAreRepeated(t *testing.T) {
	t.Parallel()
	config := simulation.Config{
		Load:     simulation.Random{Pattern: simulation.Burst, Rate: 1, Conversions: simulation.Sample{1, 1, 1, 90}},
		Duration: 2 * time.Hour, Slots: 2, Starts: simulation.Sample{4}, Autoscaler: scaled(), Seed: 1,
	}
	abandoning := simulation.Run(config)
	require.Positive(t, abandoning.Repeated)
	config.DrainTimeout = 2 * time.Minute
	draining := simulation.Run(config)
	require.Zero(t, draining.Repeated)
	require.Equal(t, draining.Converted, abandoning.Converted)
}

// TestARecordingIsReplayed: with the slots of the system that it was recorded with, the simulation has its waits.
func TestARecordingIsReplayed(t *testing.T) {
	t.Parallel()
	recording := simulation.Recorded{
		{Arrival: 0, Conversion: 2},
		{Arrival: 0.1, Conversion: 5},
		{Arrival: 0.2, Conversion: 1, Wait: 1.8},
		{Arrival: 0.3, Conversion: 1, Wait: 2.7},
		{Arrival: 60, Conversion: 1},
	}
	require.NoError(t, recording.Check())
	require.Equal(t, time.Minute, recording.Duration())
	result := simulation.Run(simulation.Config{Load: recording, Slots: 2, Replicas: 1})
	require.Equal(t, 5, result.Converted)
	require.InDelta(t, 2.7, result.Wait(100).Seconds(), 0.01)
	require.InDelta(t, 1.8, result.Wait(80).Seconds(), 0.01)
	require.Zero(t, result.Wait(60))
	require.Equal(t, 61*time.Second, result.Elapsed)

	require.Zero(t, recording.Turnaround(), "each begins when another one ends")
	result = simulation.Run(simulation.Config{Load: recording, Slots: 2, Replicas: 1, Turnaround: time.Second})
	require.InDelta(t, 4.7, result.Wait(100).Seconds(), 0.01, "after two turnarounds")
	require.Equal(t, 5, result.Converted)

	require.Error(t, simulation.Recorded{}.Check())
	require.ErrorContains(t, simulation.Recorded{{Arrival: 2}, {Arrival: 1}}.Check(), "document 2")
}

// TestTheSimulationAgreesWithARealSystem: 177 documents that 'devstack load' submitted at 0.8 per second to one converter with
// two slots, on a busy machine.
func TestTheSimulationAgreesWithARealSystem(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("testdata/recording.json")
	require.NoError(t, err)
	var recording simulation.Recorded
	require.NoError(t, json.Unmarshal(content, &recording))
	require.NoError(t, recording.Check())
	result := simulation.Run(simulation.Config{Load: recording, Slots: 2, Replicas: 1, Turnaround: recording.Turnaround()})
	var waits simulation.Sample
	for _, document := range recording {
		waits = append(waits, document.Wait)
	}
	for _, share := range []float64{0.9, 0.95, 0.99} {
		require.InEpsilon(t, waits.Quantile(share), result.Wait(100*share).Seconds(), 0.15, "p%g", 100*share)
	}
	require.InEpsilon(t, waits.Mean(), result.MeanWait().Seconds(), 0.15)
}

func TestValidate(t *testing.T) {
	t.Parallel()
	require.NoError(t, simulation.Config{Slots: 1, Replicas: 1}.Validate())
	require.NoError(t, simulation.Config{Slots: 1, Autoscaler: scaled()}.Validate())
	require.ErrorContains(t, simulation.Config{Replicas: 1}.Validate(), "slot")
	require.ErrorContains(t, simulation.Config{Slots: 1}.Validate(), "nothing is ever converted")
	require.ErrorContains(t, simulation.Config{Slots: 1, Autoscaler: &autoscaler.Settings{}}.Validate(), "interval")
}

func TestReadSample(t *testing.T) {
	t.Parallel()
	sample, err := simulation.ReadSample(strings.NewReader("# measured\ndocument,seconds\na.docx,0.5\nb.pptx,1.5\n"))
	require.NoError(t, err)
	require.Equal(t, simulation.Sample{0.5, 1.5}, sample)
	require.InDelta(t, 1, sample.Mean(), 0.001)
	require.InDelta(t, 1.5, sample.Quantile(0.95), 0.001)
	for content, complaint := range map[string]string{
		"":                "no values",
		"seconds\n":       "no values",
		"time\n1\n":       `column "seconds"`,
		"seconds\nsoon\n": `"soon"`,
		"seconds\n-1\n":   `"-1"`,
		"a,b\n1\n":        "wrong number of fields",
	} {
		_, err := simulation.ReadSample(strings.NewReader(content))
		require.ErrorContains(t, err, complaint)
	}
}

func TestPatternNames(t *testing.T) {
	t.Parallel()
	for _, pattern := range simulation.Patterns() {
		var read simulation.Pattern
		require.NoError(t, read.UnmarshalText([]byte(pattern)))
		require.Equal(t, pattern, read)
	}
	require.Error(t, new(simulation.Pattern).UnmarshalText([]byte("random")))
}
