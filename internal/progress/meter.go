package progress

import "time"

const (
	meterSpan    = 10 * time.Second       // the rate is that of the last ten seconds
	meterSpacing = 500 * time.Millisecond // of the samples that are kept
)

// meter turns counts seen from time to time into the recent rate. The zero
// meter has seen nothing at time 0. It belongs to one goroutine.
type meter struct {
	samples []sample // ascending; the first is at most one sample older than meterSpan
}

type sample struct {
	at    time.Duration
	count int64
}

// rate notes that count items were done after elapsed and returns how many a
// second were done lately.
func (m *meter) rate(elapsed time.Duration, count int64) float64 {
	if len(m.samples) == 0 {
		m.samples = append(m.samples, sample{})
	}
	for len(m.samples) > 1 && elapsed-m.samples[1].at >= meterSpan {
		m.samples = m.samples[1:]
	}
	oldest, newest := m.samples[0], m.samples[len(m.samples)-1]
	if elapsed-newest.at >= meterSpacing {
		m.samples = append(m.samples, sample{at: elapsed, count: count})
	}
	return perSecond(count-oldest.count, elapsed-oldest.at)
}

func perSecond(count int64, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return float64(count) / d.Seconds()
}
