package main

import (
	"context"
	"fmt"
	"time"

	"github.com/troupe-go/troupe/bench/internal/harness"
)

// remoteBaseline counts as 1.00 in the rows about calls to a server.
const remoteBaseline = "gRPC unary"

// childBaseline counts as 1.00 in the rows about calls to child processes.
const childBaseline = "net/rpc"

const (
	small  = 64
	medium = 8 << 10
	large  = 10_000_000
)

// remoteRows are calls to other processes, which bring back what they were given.
func remoteRows() []harness.Row {
	row := func(name string, inFlight, calls int, goal float64) harness.Row {
		return harness.Row{
			Name:        name,
			Baseline:    remoteBaseline,
			Goals:       []harness.Goal{harness.PerSecondAtLeast(goal)},
			Competitors: echoes(nodePeers(), 1, inFlight, calls, small),
		}
	}
	return []harness.Row{
		row("remote, echo of 64 B, 1 in flight", 1, 10_000, 7000),
		row("remote, echo of 64 B, 64 in flight", 64, 64*1500, 150_000),
		row("remote, echo of 64 B, 1024 in flight", 1024, 1024*100, 250_000),
		{
			Name:        "remote, echo of 8 KB, 2,000 at once",
			Baseline:    remoteBaseline,
			Competitors: echoes(nodePeers(), 1, 2000, 2000*10, medium),
		},
		{
			Name:        "remote, echo of 10 MB, one at a time",
			Unit:        "ms",
			Competitors: largeEchoes(),
		},
	}
}

// childRows are calls to child processes.
func childRows() []harness.Row {
	row := func(children, inFlight, calls int, goals ...harness.Goal) harness.Row {
		return harness.Row{
			Name:        fmt.Sprintf("child processes: %d, echo of 64 B, %d in flight", children, inFlight),
			Baseline:    childBaseline,
			Goals:       goals,
			Competitors: echoes(childPeers(), children, inFlight, calls, small),
		}
	}
	return []harness.Row{
		row(2, 1, 10_000),
		row(1, 64, 64*1000),
		row(2, 64, 64*1000, harness.PerSecondAtLeast(80_000)),
		row(4, 64, 64*1000),
	}
}

// nodePeers are the competitors with a server.
func nodePeers() []farPeer {
	return []farPeer{unaryPeer(), streamPeer(), netRPCPeer(), protoRemotePeer(), troupePipe(), troupeNodes()}
}

// childPeers are those with child processes.
func childPeers() []farPeer { return []farPeer{netRPCPeer(), unaryPeer(), troupeChildren()} }

// farCompetitors gives each of peers its run.
func farCompetitors(peers []farPeer, run func(context.Context, *harness.Meter, farPeer) error) []harness.Competitor {
	var found []harness.Competitor
	for _, p := range peers {
		found = append(found, harness.Competitor{Name: p.name, Run: func(ctx context.Context, m *harness.Meter) error {
			return run(ctx, m, p)
		}})
	}
	return found
}

// echoes has each peer keep so many calls in flight to so many other processes.
// However small the scale, that many are there at once.
func echoes(peers []farPeer, servers, inFlight, calls, size int) []harness.Competitor {
	return farCompetitors(peers, func(ctx context.Context, m *harness.Meter, p farPeer) error {
		f, err := p.open(ctx, farOrder{Servers: servers, Function: "echo", InFlight: inFlight})
		if err != nil {
			return err
		}
		defer f.Close()
		warm := m.Scale(max(warmUp, 2*inFlight))
		if err := p.echo(ctx, f, min(inFlight, warm), warm, size); err != nil {
			return err
		}
		n := inFlight * max(1, m.Scale(calls)/inFlight)
		return m.Time(n, func() error { return p.echo(ctx, f, inFlight, n, size) })
	})
}

// largeEchoes reports the time of one large echo: 10 MB there, and back again.
func largeEchoes() []harness.Competitor {
	const calls = 20
	return farCompetitors(nodePeers(), func(ctx context.Context, m *harness.Meter, p farPeer) error {
		f, err := p.open(ctx, farOrder{Servers: 1, Function: "echo", InFlight: 1})
		if err != nil {
			return err
		}
		defer f.Close()
		if err := p.echo(ctx, f, 1, 1, large); err != nil {
			return err
		}
		n := m.Scale(calls)
		err = m.Time(n, func() error { return p.echo(ctx, f, 1, n, large) })
		m.Report(float64(m.PerOp()) / float64(time.Millisecond))
		return err
	})
}
