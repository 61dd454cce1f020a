package supervisor_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/troupe-go/troupe/supervisor"
)

// model is what a tree of children that obey at once should look like: plain
// data, changed by plain code, as slow and simple as possible.
type model struct {
	policy supervisor.Policy
	now    time.Duration

	kids   []*modelKid
	grants []time.Duration // of restarts, ever
	row    int
	due    time.Duration  // of the last restart
	round  *time.Duration // when the children that are down come up
	failed bool

	events, ends []string // since the last look
}

type modelKid struct {
	name     string
	state    string
	restarts int
	failure  string
	due      *time.Duration // of its restart in place
	inRound  bool
}

func (m *model) alive(k *modelKid) bool {
	return k.state == supervisor.StateRunning || k.due != nil
}

func (m *model) event(k *modelKid, kind string) {
	m.events = append(m.events, "t/"+k.name+" "+kind)
}

func (m *model) end(k *modelKid) { m.ends = append(m.ends, "-"+k.name) }

func (m *model) fail(k *modelKid, err error) {
	k.state, k.failure = supervisor.StateRestarting, err.Error()
	m.event(k, "failed")
	switch byText(err) {
	case supervisor.Resume:
		k.state = supervisor.StateRunning
	case supervisor.Stop:
		m.stopScope(k)
	case supervisor.Escalate:
		m.giveUp(k)
	case supervisor.Restart:
		if recent := slices.DeleteFunc(slices.Clone(m.grants), func(g time.Duration) bool { return m.now-g >= m.policy.Within }); len(recent) >= m.policy.MaxRestarts {
			m.giveUp(k)
			return
		}
		m.grants = append(m.grants, m.now)
		m.restart(k, m.delay())
	}
}

func (m *model) delay() time.Duration {
	if m.now-m.due >= m.policy.Within {
		m.row = 0
	}
	m.row++
	delay := time.Duration(0)
	if b := m.policy.Backoff; b.Initial > 0 {
		delay = min(b.Initial<<(m.row-1), b.Max)
	}
	m.due = max(m.due, m.now+delay)
	return delay
}

// scope lists, in start order, who shares the fate of k.
func (m *model) scope(k *modelKid) (scope []*modelKid) {
	at := slices.Index(m.kids, k)
	for i, s := range m.kids {
		in := s == k || m.policy.Scope == supervisor.OneForAll || m.policy.Scope == supervisor.RestForOne && i > at
		if in && (s == k || m.alive(s) || s.inRound) {
			scope = append(scope, s)
		}
	}
	return scope
}

func (m *model) restart(k *modelKid, delay time.Duration) {
	scope, due := m.scope(k), m.now+delay
	if len(scope) == 1 {
		m.event(k, "restarting")
		k.due = &due
		m.pass(0)
		return
	}
	m.lower(scope, k)
	for _, s := range scope {
		if !s.inRound {
			s.state = supervisor.StateRestarting
			m.event(s, "restarting")
		}
		s.due, s.inRound = nil, true
	}
	m.round = &due
	m.pass(0)
}

// lower ends those who live: first who works, then who has failed.
func (m *model) lower(scope []*modelKid, failed *modelKid) {
	for _, s := range slices.Backward(scope) {
		if s.state == supervisor.StateRunning {
			m.end(s)
		}
	}
	for _, s := range slices.Backward(scope) {
		if s.due != nil || s == failed {
			m.end(s)
		}
	}
}

func (m *model) stopScope(k *modelKid) {
	scope := m.scope(k)
	m.lower(scope, k)
	for _, s := range scope { // those that are down already, at once
		if s.inRound {
			m.event(s, "stopped")
		}
	}
	ends := m.ends[len(m.ends)-len(slices.DeleteFunc(slices.Clone(scope), func(s *modelKid) bool { return s.inRound })):]
	for _, e := range ends {
		m.events = append(m.events, "t/"+e[1:]+" stopped")
	}
	for _, s := range scope {
		s.state, s.due, s.inRound = supervisor.StateStopped, nil, false
	}
}

func (m *model) giveUp(failed *modelKid) {
	m.failed = true
	for _, s := range m.kids {
		if s.inRound && s.state == supervisor.StateRestarting {
			s.state = supervisor.StateStopped
			m.event(s, "stopped")
		}
	}
	for _, s := range slices.Backward(m.kids) {
		if m.alive(s) || s == failed {
			m.end(s)
			m.event(s, "stopped")
			s.state, s.due = supervisor.StateStopped, nil
		}
	}
	m.events = append(m.events, "t/ gave up", "t/ stopped")
}

// pass lets time go by.
func (m *model) pass(d time.Duration) {
	m.now += d
	for _, k := range m.kids {
		if k.due != nil && *k.due <= m.now {
			k.due = nil
			m.end(k)
			m.restarted(k)
		}
	}
	if m.round == nil || *m.round > m.now {
		return
	}
	m.round = nil
	for _, k := range m.kids {
		if k.inRound {
			k.inRound = false
			m.restarted(k)
		}
	}
}

func (m *model) restarted(k *modelKid) {
	kind := "restarted"
	if k.state == supervisor.StateIdle {
		kind = "started"
	} else {
		k.restarts++
	}
	k.state = supervisor.StateRunning
	m.event(k, kind)
}

func (m *model) add(name string) {
	k := &modelKid{name: name, state: supervisor.StateIdle, inRound: m.round != nil}
	m.kids = append(m.kids, k)
	if !k.inRound {
		m.restarted(k)
	}
}

func (m *model) remove(k *modelKid) {
	if m.alive(k) {
		m.end(k)
		m.event(k, "stopped")
	}
	m.kids = slices.DeleteFunc(m.kids, func(x *modelKid) bool { return x == k })
}

func (m *model) restartByName(k *modelKid) {
	if k.inRound {
		m.round = &m.now
		m.pass(0)
		return
	}
	if m.alive(k) {
		m.end(k)
	}
	k.due = nil
	m.restarted(k)
}

func (m *model) String() string {
	s := "t running"
	if m.failed {
		s = "t failed"
	}
	var kids []string
	for _, k := range m.kids {
		line := k.name + " " + k.state
		if k.restarts > 0 {
			line += fmt.Sprint(" ", k.restarts)
		}
		if k.failure != "" {
			line += fmt.Sprintf(" %q", k.failure)
		}
		kids = append(kids, line)
	}
	if len(kids) > 0 {
		s += " [" + strings.Join(kids, ", ") + "]"
	}
	return s
}

// step is one thing that happens in a scenario.
type step struct {
	what string
	kid  int
	err  error
	pass time.Duration
}

func (s step) String() string { return fmt.Sprint(s.what, " ", s.kid, " ", s.err, " ", s.pass) }

var steps = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
	return step{
		what: rapid.SampledFrom([]string{"fail", "fail", "fail", "pass", "pass", "end", "add", "remove", "restart"}).Draw(t, "what"),
		kid:  rapid.IntRange(0, 9).Draw(t, "kid"),
		err:  rapid.SampledFrom([]error{errBoom, errBoom, errBoom, errBoom, errResume, errStop, errEscalate}).Draw(t, "err"),
		pass: rapid.SampledFrom([]time.Duration{1, time.Second / 2, time.Second, 3 * time.Second, time.Minute}).Draw(t, "pass"),
	}
}), 1, 40)

func TestTreeBehavesLikeItsModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		policy := supervisor.Policy{
			Scope:       rapid.SampledFrom([]supervisor.Scope{supervisor.OneForOne, supervisor.OneForAll, supervisor.RestForOne}).Draw(rt, "scope"),
			MaxRestarts: rapid.IntRange(1, 6).Draw(rt, "restarts"),
			Within:      rapid.SampledFrom([]time.Duration{time.Second, 10 * time.Second}).Draw(rt, "within"),
			Decide:      byText,
		}
		if rapid.Bool().Draw(rt, "backoff") {
			policy.Backoff = supervisor.Backoff{Initial: time.Second, Max: 5 * time.Second}
		}
		script := steps.Draw(rt, "steps")
		var fault error
		synctest.Test(t, func(t *testing.T) { fault = play(t, policy, script) })
		if fault != nil {
			rt.Fatal(fault)
		}
	})
}

// play does the same to a tree and to its model, and compares them.
func play(t *testing.T, p supervisor.Policy, script []step) error {
	r := newRig(t)
	tree := r.grow("t", p, r.players("a", "b", "c")...)
	m := &model{policy: p, due: -time.Hour}
	for _, name := range []string{"a", "b", "c"} {
		m.add(name)
	}
	m.events = nil
	for i, s := range script {
		exact, err := s.play(r, tree, m)
		if err == nil {
			err = m.compare(r, tree, exact)
		}
		if err != nil {
			return errors.Join(fmt.Errorf("step %d, %v: %w", i, s, err), tree.Stop(context.Background()))
		}
		if m.failed {
			break
		}
	}
	err := tree.Stop(context.Background())
	if w := tree.Wait(context.Background()); err == nil && isFailed(w) != m.failed {
		err = fmt.Errorf("Wait: %w", w)
	}
	r.checkEmpty()
	return err
}

// play returns whether the order of what follows is certain.
func (s step) play(r *rig, tree *supervisor.Tree, m *model) (exact bool, err error) {
	if s.what == "pass" {
		r.sleep(s.pass)
		m.pass(s.pass)
		return false, nil
	}
	if s.what == "add" {
		name := fmt.Sprint("n", len(m.grants), "-", s.kid)
		if slices.ContainsFunc(m.kids, func(k *modelKid) bool { return k.name == name }) {
			return true, nil
		}
		m.add(name)
		return true, tree.Add(r.player(name))
	}
	if len(m.kids) == 0 {
		return true, nil
	}
	k := m.kids[s.kid%len(m.kids)]
	switch {
	case s.what == "remove":
		m.remove(k)
		return true, tree.Remove(context.Background(), k.name)
	case s.what == "restart":
		m.restartByName(k)
		return true, tree.Restart(context.Background(), k.name)
	case s.what == "fail" && k.state == supervisor.StateRunning:
		r.send("t/"+k.name, s.err)
		synctest.Wait()
		m.fail(k, s.err)
	case s.what == "end" && k.state == supervisor.StateRunning:
		r.sys.ActorSystem().Root.Stop(r.pid("t/" + k.name))
		m.end(k)
		m.event(k, "stopped")
		k.state = supervisor.StateStopped
	}
	return true, nil
}

func (m *model) compare(r *rig, tree *supervisor.Tree, exact bool) error {
	synctest.Wait()
	r.mu.Lock()
	lines := r.lines
	r.lines = nil
	r.mu.Unlock()
	var events, ends []string
	for _, l := range lines {
		switch {
		case strings.Contains(l, "/"):
			events = append(events, l)
		case l[0] == '-':
			ends = append(ends, l)
		}
	}
	if !exact {
		for _, list := range [][]string{events, ends, m.events, m.ends} {
			slices.Sort(list)
		}
	}
	n := tree.Snapshot()
	n.LastError = ""
	got, want := fmt.Sprintf("%s\n%q\n%q", outline(n), events, ends), fmt.Sprintf("%v\n%q\n%q", m, m.events, m.ends)
	m.events, m.ends = nil, nil
	if got != want {
		return fmt.Errorf("got\n%s\nwant\n%s", got, want)
	}
	return nil
}
