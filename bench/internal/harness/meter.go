package harness

import (
	"fmt"
	"runtime"
	"time"
)

// Sample is what one run of one competitor yielded.
type Sample struct {
	Value       float64 // the row's measure, lower is better: nanoseconds per operation unless reported otherwise
	NsPerOp     float64
	BytesPerOp  float64 // allocated, not held
	AllocsPerOp float64
}

func (s Sample) String() string {
	return fmt.Sprintf("%.2f (%.1f ns/op, %.1f B/op, %.3f allocs/op)", s.Value, s.NsPerOp, s.BytesPerOp, s.AllocsPerOp)
}

// Meter measures one run. It is not safe for concurrent use.
type Meter struct {
	scale    float64
	elapsed  time.Duration
	sample   Sample
	reported bool
}

// NewMeter returns a Meter whose Scale multiplies sizes by scale.
func NewMeter(scale float64) *Meter { return &Meter{scale: scale} }

// Scale returns the size to use where the full workload has n; at least 1.
func (m *Meter) Scale(n int) int {
	return max(1, int(float64(n)*m.scale))
}

// Time runs work, which performs ops operations, and records its wall time and
// what the process allocated meanwhile.
func (m *Meter) Time(ops int, work func() error) error {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	err := work()
	m.elapsed = time.Since(start)
	runtime.ReadMemStats(&after)

	n := float64(ops)
	m.sample.NsPerOp = float64(m.elapsed.Nanoseconds()) / n
	m.sample.BytesPerOp = float64(after.TotalAlloc-before.TotalAlloc) / n
	m.sample.AllocsPerOp = float64(after.Mallocs-before.Mallocs) / n
	if !m.reported {
		m.sample.Value = m.sample.NsPerOp
	}
	return err
}

// Report sets the row's measure where it is not the time per operation.
func (m *Meter) Report(value float64) {
	m.sample.Value, m.reported = value, true
}

// Elapsed returns the time that Time recorded.
func (m *Meter) Elapsed() time.Duration { return m.elapsed }

// PerOp returns the time that Time recorded, per operation.
func (m *Meter) PerOp() time.Duration { return time.Duration(m.sample.NsPerOp) }

// Sample returns what was measured so far.
func (m *Meter) Sample() Sample { return m.sample }
