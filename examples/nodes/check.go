package main

import (
	"errors"
	"fmt"
	"slices"
	"text/tabwriter"
)

// check compares what the nodes have written down with what came back, and prints both.
func (b *batch) check() error {
	begun, rows, err := b.count()
	if err != nil {
		return err
	}
	extra := 0
	for _, times := range begun {
		extra += times - 1
	}
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if b.failed != nil {
		fault("a call failed for another reason: %w", b.failed)
	}
	if b.wrong > 0 {
		fault("%d results are wrong", b.wrong)
	}
	if b.results+len(b.lost) != b.n {
		fault("%d results and %d lost calls, want %d in all", b.results, len(b.lost), b.n)
	}
	if rows[1].after == 0 {
		fault("%s has run nothing after it came back", b.fleet[1].name)
	}
	if b.again {
		faults = append(faults, b.checkAgain(begun))
	} else {
		faults = append(faults, b.checkOnce(begun))
	}

	w := tabwriter.NewWriter(b.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\ncalls begun at\tin all\tafter a restart\t")
	for i, r := range rows {
		fmt.Fprintf(w, "%s\t%d\t%d\t\n", b.fleet[i].name, r.before+r.after, r.after)
	}
	_ = w.Flush()
	fmt.Fprintf(b.out, "%d of %d calls have their result, %d were lost; %d inputs were begun, %d of them twice\n",
		b.results, b.n, len(b.lost), len(begun), extra)
	return errors.Join(faults...)
}

// checkAgain: nothing is lost, and only what was under way at the node may have been begun twice.
func (b *batch) checkAgain(begun map[int]int) error {
	var faults []error
	if len(b.lost) > 0 {
		faults = append(faults, fmt.Errorf("calls of %v were lost, although they may be run again", b.lost))
	}
	twice := 0
	for x := b.first; x < b.first+b.n; x++ {
		switch begun[x] {
		case 1:
		case 2:
			twice++
		default:
			faults = append(faults, fmt.Errorf("input %d was begun %d times", x, begun[x]))
		}
	}
	if twice > capacity {
		faults = append(faults, fmt.Errorf("%d inputs were begun twice, and a node runs %d calls at once", twice, capacity))
	}
	return errors.Join(faults...)
}

// checkOnce: nothing is begun twice, and only what was under way at the node is lost.
func (b *batch) checkOnce(begun map[int]int) error {
	var faults []error
	for x := b.first; x < b.first+b.n; x++ {
		if times := begun[x]; times > 1 || times == 0 && !slices.Contains(b.lost, x) {
			faults = append(faults, fmt.Errorf("input %d was begun %d times", x, times))
		}
	}
	if len(b.lost) == 0 || len(b.lost) > capacity+1 { // one is sent ahead
		faults = append(faults, fmt.Errorf("%d calls were lost, want 1 to %d", len(b.lost), capacity+1))
	}
	return errors.Join(faults...)
}

// row is what one node has begun.
type row struct{ before, after int }

// count reads the journals: how often each input of the batch was begun, and how many by whom.
func (b *batch) count() (begun map[int]int, rows []row, err error) {
	begun = make(map[int]int)
	for _, p := range b.fleet {
		var r row
		for life := range p.journals {
			n, err := p.begun(life, b.first, begun)
			if err != nil {
				return nil, nil, err
			}
			if p == b.fleet[1] && life == len(p.journals)-1 {
				r.after = n
			} else {
				r.before += n
			}
		}
		rows = append(rows, r)
	}
	return begun, rows, nil
}
