package harness

import (
	"testing"
	"time"
)

var sink []byte

func TestTimeCountsWhatIsAllocated(t *testing.T) {
	m := NewMeter(1)
	err := m.Time(100, func() error {
		for range 100 {
			sink = make([]byte, 4096)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	s := m.Sample()
	if s.AllocsPerOp < 1 || s.AllocsPerOp > 1.5 || s.BytesPerOp < 4096 || s.BytesPerOp > 6000 {
		t.Errorf("%.2f allocations of %.0f bytes, want about 1 of 4096", s.AllocsPerOp, s.BytesPerOp)
	}
	if s.NsPerOp <= 0 || s.Value != s.NsPerOp || m.Elapsed() < 100*m.PerOp() {
		t.Errorf("value %v, %v ns/op, elapsed %v", s.Value, s.NsPerOp, m.Elapsed())
	}
}

func TestReportReplacesTheValueOnly(t *testing.T) {
	m := NewMeter(1)
	m.Report(7)
	if err := m.Time(1, func() error { time.Sleep(time.Microsecond); return nil }); err != nil {
		t.Fatal(err)
	}
	if s := m.Sample(); s.Value != 7 || s.NsPerOp < 1000 {
		t.Errorf("value %v, %v ns/op; want 7 and at least 1000", s.Value, s.NsPerOp)
	}
}

func TestScaleKeepsAtLeastOne(t *testing.T) {
	if got := NewMeter(0.001).Scale(10); got != 1 {
		t.Errorf("got %d, want 1", got)
	}
}
