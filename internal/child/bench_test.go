package child

import (
	"os/exec"
	"testing"
	"time"
)

// BenchmarkStart measures from Start to ready and from kill to noticed, next
// to what starting any program takes.
func BenchmarkStart(b *testing.B) {
	b.Run("ready", func(b *testing.B) {
		var loss time.Duration
		for b.Loop() {
			p, _ := started(b, "work", Config{})
			ready(b, p)
			begin := time.Now()
			p.Kill(Recycle)
			<-p.Done()
			loss += time.Since(begin)
		}
		b.ReportMetric(float64(loss.Microseconds())/float64(b.N)/1000, "ms/loss")
	})
	b.Run("exec true", func(b *testing.B) {
		for b.Loop() {
			if err := exec.Command("true").Run(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkCredentials(b *testing.B) {
	b.Run("authority", func(b *testing.B) {
		for b.Loop() {
			if _, err := newAuthority(time.Now()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("issue", func(b *testing.B) {
		for b.Loop() {
			if _, _, err := Credentials(); err != nil {
				b.Fatal(err)
			}
		}
	})
	_, text, err := Credentials()
	if err != nil {
		b.Fatal(err)
	}
	b.Run("parse", func(b *testing.B) {
		for b.Loop() {
			if _, err := ParseCredentials(text); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("handshake", func(b *testing.B) {
		p := newPair(b)
		for b.Loop() {
			if s, c := shake(b, p.child, p.parent); s != nil || c != nil {
				b.Fatal(s, c)
			}
		}
	})
}
