package actor_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	noopmetric "go.opentelemetry.io/otel/metric/noop"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/task"
)

// collect returns all data points, a line each.
func collect(t *testing.T, reader *sdk.ManualReader) (lines []string) {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &all); err != nil {
		t.Fatal(err)
	}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if m.Unit == "" || m.Description == "" {
				t.Errorf("%s: got unit %q and description %q", m.Name, m.Unit, m.Description)
			}
			lines = append(lines, points(t, m)...)
		}
	}
	slices.Sort(lines)
	return lines
}

func points(t *testing.T, m metricdata.Metrics) (lines []string) {
	t.Helper()
	switch d := m.Data.(type) {
	case metricdata.Sum[int64]:
		kind := map[bool]string{true: "counter", false: "level"}[d.IsMonotonic]
		for _, p := range d.DataPoints {
			lines = append(lines, fmt.Sprintf("%s %s %v %d", kind, m.Name, p.Attributes.Encoded(attribute.DefaultEncoder()), p.Value))
		}
	case metricdata.Gauge[float64]:
		for _, p := range d.DataPoints {
			lines = append(lines, fmt.Sprintf("gauge %s %v %g", m.Name, p.Attributes.Encoded(attribute.DefaultEncoder()), p.Value))
		}
	default:
		t.Errorf("%s: got a %T", m.Name, d)
	}
	return lines
}

func contains(t *testing.T, lines []string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !slices.Contains(lines, w) {
			t.Errorf("want the point %q in\n%s", w, strings.Join(lines, "\n"))
		}
	}
}

func TestMetricsTellWhatTheSnapshotTells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reader := sdk.NewManualReader()
		sys, open := lived(t, actor.MeterProvider(sdk.NewMeterProvider(sdk.WithReader(reader))))
		addUnits(sys)
		got := collect(t, reader)
		const of = "troupe.system=mine,troupe.task=jobs"
		contains(t, got,
			"counter troupe.task.submitted "+of+" 10",
			"counter troupe.task.calls troupe.outcome=finished,"+of+" 2",
			"counter troupe.task.calls troupe.outcome=failed,"+of+" 1",
			"counter troupe.task.calls troupe.outcome=panicked,"+of+" 1",
			"counter troupe.task.calls troupe.outcome=cancelled,"+of+" 0",
			"counter troupe.task.calls troupe.outcome=timed_out,"+of+" 1",
			"counter troupe.task.rejected "+of+" 1",
			"counter troupe.task.retries "+of+" 1",
			"counter troupe.task.restarts "+of+" 0",
			"level troupe.task.queue.length "+of+" 3",
			"level troupe.task.workers troupe.state=busy,"+of+" 2",
			"level troupe.task.workers troupe.state=idle,"+of+" 0",
			fmt.Sprintf("gauge troupe.task.run quantile=1,%s %g", of, sys.Snapshot().Tasks[0].Run.Max.Seconds()),
			fmt.Sprintf("gauge troupe.task.wait quantile=0.99,%s %g", of, sys.Snapshot().Tasks[0].Wait.P99.Seconds()),
			"counter troupe.limit.granted troupe.limit=calls,troupe.limits=api,troupe.system=mine 70",
			"counter troupe.limit.refused troupe.limit=calls,troupe.limits=api,troupe.system=mine 1",
			"level troupe.limit.used troupe.limit=calls,troupe.limits=api,troupe.system=mine 7",
			"level troupe.limit.waiting troupe.limit=calls,troupe.limits=api,troupe.system=mine 2",
			"level troupe.limit.capacity troupe.limit=slots,troupe.limits=api,troupe.system=mine 4",
		)
		equal(t, "points of a task", len(got)-10, 20)
		close(open)
		stop(t, sys)
	})
}

// provider counts what is registered with it and can refuse.
type provider struct {
	noopmetric.MeterProvider
	registered int
	made, gone int
	fail       bool
}

type meter struct {
	noopmetric.Meter
	p *provider
}

func (p *provider) Meter(string, ...metric.MeterOption) metric.Meter { return meter{p: p} }

func (m meter) Int64ObservableCounter(name string, opts ...metric.Int64ObservableCounterOption) (metric.Int64ObservableCounter, error) {
	m.p.made++
	if m.p.fail {
		return noopmetric.Int64ObservableCounter{}, errOwn
	}
	return m.Meter.Int64ObservableCounter(name, opts...)
}

func (m meter) RegisterCallback(metric.Callback, ...metric.Observable) (metric.Registration, error) {
	m.p.registered++
	return registration{p: m.p}, nil
}

type registration struct {
	noopmetric.Registration
	p *provider
}

func (r registration) Unregister() error {
	r.p.gone++
	if r.p.fail {
		return errCause
	}
	return nil
}

func TestMetricsAreRegisteredOnceAndUntilStop(t *testing.T) {
	p := &provider{}
	sys := newSystem(actor.MeterProvider(p))
	equal(t, "callbacks of an empty system", p.registered, 0)
	for round := 1; round <= 2; round++ {
		for range 3 {
			task.MustNew(sq, task.System(sys))
		}
		equal(t, "callbacks", p.registered, round)
		stop(t, sys)
		equal(t, "removed", p.gone, round)
	}
	stop(t, sys)
	equal(t, "removed", p.gone, 2)
}

func TestWithoutAProviderNothingIsMeasured(t *testing.T) {
	sys := newSystem()
	task.MustNew(sq, task.System(sys))
	if sys.Units().OnAdd != nil {
		t.Error("a System without a MeterProvider reacts to new tasks")
	}
	stop(t, sys)
}

func TestAFailingProviderIsLogged(t *testing.T) {
	var log journal
	p := &provider{fail: true}
	sys := actor.NewSystem(actor.MeterProvider(p), actor.Logger(log.logger()), actor.Name("mine"))
	task.MustNew(sq, task.System(sys))
	log.has(t, errOwn.Error())
	log.has(t, "system=mine")
	equal(t, "callbacks", p.registered, 0)
	p.fail = false
	task.MustNew(sq, task.System(sys))
	p.fail = true
	stop(t, sys)
	log.has(t, errCause.Error())
}

func TestStoppedTasksAreNoLongerReported(t *testing.T) {
	reader := sdk.NewManualReader()
	sys := newSystem(actor.MeterProvider(sdk.NewMeterProvider(sdk.WithReader(reader))))
	first := task.MustNew(sq, task.System(sys), task.Name("first"))
	second := task.MustNew(sq, task.System(sys), task.Name("second"))
	second.PID()
	first.Stop()
	for _, line := range collect(t, reader) {
		if strings.Contains(line, "first") {
			t.Errorf("got %q of a stopped task", line)
		}
	}
	stop(t, sys)
	if got := collect(t, reader); len(got) != 0 {
		t.Errorf("after Stop: got %q, want nothing", got)
	}
}
