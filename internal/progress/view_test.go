package progress

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestViewAsLine(t *testing.T) {
	for want, v := range map[string]view{
		"0/0 (100%), 0.0/s, done in 0s":                                 {closed: true},
		"a: 1/3 (33%), 2.0/s, ETA 1s":                                   {title: "a", done: 1, total: 3, rate: 2, elapsed: time.Second},
		"5/3 (166%), 9.9/s":                                             {done: 5, total: 3, rate: 9.94},
		"1/3 (33%), 0.0/s, ETA -":                                       {done: 1, total: 3},
		"1/3 (33%), 0.0/min, ETA -":                                     {done: 1, total: 3, rate: 1e-300},
		"7, 12.3k/s, 2 failed":                                          {done: 7, total: -1, rate: 12345, failed: 2},
		"7, 1.2M/s, done in 1h1m":                                       {done: 7, total: -1, rate: 1234567, closed: true, elapsed: time.Hour + 59*time.Second},
		"999/1000 (99%), 10/s, failed after 1m0s: no":                   {done: 999, total: 1000, rate: 9.96, closed: true, elapsed: time.Minute, err: errors.New("no")},
		"999999/1000000 (99%), 3.0/min, ETA 20s":                        {done: 999999, total: 1000000, rate: 0.05},
		"0/9223372036854775807 (0%), 1.0M/s, ETA -":                     {total: 1<<63 - 1, rate: 1e6},
		"0/9000000000000000 (0%), 1.0M/s, ETA 2500000h":                 {total: 9e15, rate: 1e6},
		"4, 9999/s, failed after 50h: context canceled at offset 12 MB": {done: 4, total: -1, rate: 9999.4, closed: true, elapsed: 50 * time.Hour, err: errors.New("context canceled\nat offset\t12 MB")},
	} {
		if got := strings.TrimSuffix(v.line(), "\n"); got != want {
			t.Errorf("%+v: got %q, want %q", v, got, want)
		}
	}
}

func TestMeterTellsTheRateOfTheLastTenSeconds(t *testing.T) {
	var m meter
	var count int64
	for at := time.Duration(0); at <= 60*time.Second; at += 100 * time.Millisecond {
		perSample := int64(10) // 100 a second
		if at > 30*time.Second {
			perSample = 1
		}
		count += perSample
		got := m.rate(at, count)
		switch {
		case at == 0 && got != 0:
			t.Errorf("rate at the start is %v, want 0", got)
		case at > 5*time.Second && at < 30*time.Second && (got < 99 || got > 105),
			at > 41*time.Second && (got < 9.9 || got > 10.5):
			t.Errorf("rate after %v is %v", at, got)
		}
	}
	if got, limit := len(m.samples), 25; got > limit {
		t.Errorf("%d samples kept, want at most %d", got, limit)
	}
}
