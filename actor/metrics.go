package actor

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

const scope = "github.com/troupe-go/troupe/actor"

// metering holds the callback that a System has with its MeterProvider. Its
// lock covers only calls of the provider; the callback does not take it.
type metering struct {
	mu           sync.Mutex
	registration metric.Registration
}

// startMetrics registers the callback unless that is done. It is called when
// something starts to live in the System, so that a System can be used again
// after a Stop.
func (s *System) startMetrics() {
	m := &s.metering
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.registration != nil {
		return
	}
	in, all, err := newInstruments(s.meters.Meter(scope))
	if err == nil {
		m.registration, err = s.meters.Meter(scope).RegisterCallback(func(_ context.Context, o metric.Observer) error {
			in.observe(o, s.Snapshot())
			return nil
		}, all...)
	}
	if err != nil {
		s.Log().Error("troupe: no metrics", "system", s.name, "error", err)
	}
}

func (s *System) stopMetrics() {
	m := &s.metering
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.registration == nil {
		return
	}
	if err := m.registration.Unregister(); err != nil {
		s.Log().Warn("troupe: metrics stay registered", "system", s.name, "error", err)
	}
	m.registration = nil
}

// instruments are what a System reports.
type instruments struct {
	submitted, calls, rejected, retries, restarts metric.Int64ObservableCounter
	queue, workers                                metric.Int64ObservableUpDownCounter
	wait, run                                     metric.Float64ObservableGauge

	granted, refused        metric.Int64ObservableCounter
	used, capacity, waiting metric.Int64ObservableUpDownCounter
}

// maker makes instruments and keeps their errors.
type maker struct {
	meter metric.Meter
	all   []metric.Observable
	errs  []error
}

func (m *maker) counter(name, unit, what string) metric.Int64ObservableCounter {
	i, err := m.meter.Int64ObservableCounter(name, metric.WithUnit(unit), metric.WithDescription(what))
	m.all, m.errs = append(m.all, i), append(m.errs, err)
	return i
}

func (m *maker) level(name, unit, what string) metric.Int64ObservableUpDownCounter {
	i, err := m.meter.Int64ObservableUpDownCounter(name, metric.WithUnit(unit), metric.WithDescription(what))
	m.all, m.errs = append(m.all, i), append(m.errs, err)
	return i
}

func (m *maker) seconds(name, what string) metric.Float64ObservableGauge {
	i, err := m.meter.Float64ObservableGauge(name, metric.WithUnit("s"), metric.WithDescription(what))
	m.all, m.errs = append(m.all, i), append(m.errs, err)
	return i
}

func newInstruments(meter metric.Meter) (instruments, []metric.Observable, error) {
	m := &maker{meter: meter}
	in := instruments{
		submitted: m.counter("troupe.task.submitted", "{call}", "Calls accepted."),
		calls:     m.counter("troupe.task.calls", "{call}", "Calls ended, by outcome."),
		rejected:  m.counter("troupe.task.rejected", "{call}", "Calls refused by a full queue."),
		retries:   m.counter("troupe.task.retries", "{attempt}", "Attempts after the first."),
		restarts:  m.counter("troupe.task.restarts", "{restart}", "Restarts of workers."),
		queue:     m.level("troupe.task.queue.length", "{call}", "Calls accepted and not started."),
		workers:   m.level("troupe.task.workers", "{worker}", "Workers alive, by state."),
		wait:      m.seconds("troupe.task.wait", "Quantiles of the time from submission to the start of an attempt."),
		run:       m.seconds("troupe.task.run", "Quantiles of the time of one attempt."),
		granted:   m.counter("troupe.limit.granted", "{request}", "Requests granted by a limit."),
		refused:   m.counter("troupe.limit.refused", "{request}", "Requests refused by a limit."),
		used:      m.level("troupe.limit.used", "{unit}", "Units of a limit in use."),
		capacity:  m.level("troupe.limit.capacity", "{unit}", "Units that a limit has."),
		waiting:   m.level("troupe.limit.waiting", "{request}", "Requests that wait for a limit."),
	}
	return in, m.all, errors.Join(m.errs...)
}

func (in *instruments) observe(o metric.Observer, s Snapshot) {
	system := attribute.String("troupe.system", s.Name)
	for i := range s.Tasks {
		in.task(o, &s.Tasks[i], system, attribute.String("troupe.task", s.Tasks[i].Name))
	}
	for _, set := range s.Limits {
		for _, k := range set.Keys {
			in.limit(o, k, metric.WithAttributes(system,
				attribute.String("troupe.limits", set.Name), attribute.String("troupe.limit", k.Key)))
		}
	}
}

func (in *instruments) task(o metric.Observer, t *TaskSnapshot, which ...attribute.KeyValue) {
	with := func(more ...attribute.KeyValue) metric.ObserveOption {
		return metric.WithAttributes(append(more, which...)...)
	}
	outcome := func(name string, n uint64) {
		o.ObserveInt64(in.calls, int64(n), with(attribute.String("troupe.outcome", name)))
	}
	outcome("finished", t.Finished)
	outcome("failed", t.Failed)
	outcome("panicked", t.Panicked)
	outcome("cancelled", t.Cancelled)
	outcome("timed_out", t.TimedOut)

	plain := with()
	o.ObserveInt64(in.submitted, int64(t.Submitted), plain)
	o.ObserveInt64(in.rejected, int64(t.Rejected), plain)
	o.ObserveInt64(in.retries, int64(t.Retries), plain)
	o.ObserveInt64(in.restarts, int64(t.Restarts), plain)
	o.ObserveInt64(in.queue, int64(t.Queued), plain)

	o.ObserveInt64(in.workers, int64(t.Busy), with(attribute.String("troupe.state", "busy")))
	// A call that is run beside the workers keeps busy more than there are.
	o.ObserveInt64(in.workers, int64(max(0, t.Workers-t.Busy)), with(attribute.String("troupe.state", "idle")))

	quantiles := func(to metric.Float64ObservableGauge, q Quantiles) {
		for name, d := range map[string]time.Duration{"0.5": q.P50, "0.9": q.P90, "0.99": q.P99, "1": q.Max} {
			o.ObserveFloat64(to, d.Seconds(), with(attribute.String("quantile", name)))
		}
	}
	quantiles(in.wait, t.Wait)
	quantiles(in.run, t.Run)
}

func (in *instruments) limit(o metric.Observer, l LimitSnapshot, which metric.ObserveOption) {
	o.ObserveInt64(in.granted, int64(l.Granted), which)
	o.ObserveInt64(in.refused, int64(l.Refused), which)
	o.ObserveInt64(in.used, int64(l.Used), which)
	o.ObserveInt64(in.capacity, int64(l.Capacity), which)
	o.ObserveInt64(in.waiting, int64(l.Waiting), which)
}
