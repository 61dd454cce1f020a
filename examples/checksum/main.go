// Checksum hashes all files below some directories with a pool of workers, and compares one worker with many.
package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"go/build"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"time"

	"github.com/troupe-go/troupe/task"
)

type sum struct {
	path, hash string
	size       int64
	took       time.Duration
}

// hash reads the file piece by piece, so that it can stop when ctx ends.
func hash(ctx context.Context, path string) (sum, error) {
	start, h, s := time.Now(), sha256.New(), sum{path: path}
	file, err := os.Open(path)
	if err != nil {
		return s, err
	}
	defer file.Close()
	for n := int64(0); err == nil && ctx.Err() == nil; s.size += n {
		n, err = io.CopyN(h, file, 1<<20)
	}
	if err != io.EOF {
		return s, cmp.Or(err, context.Cause(ctx))
	}
	s.hash, s.took = string(h.Sum(nil)), time.Since(start)
	return s, nil
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "checksum:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("checksum", flag.ExitOnError)
	workers := flags.Int("workers", 8, "files hashed at once")
	_ = flags.Parse(args)
	roots := flags.Args()
	if len(roots) == 0 {
		roots = []string{filepath.Join(build.Default.GOROOT, "src")}
	}
	var paths []string
	for _, root := range roots {
		_ = filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
			if err != nil || entry.Type().IsRegular() {
				paths = append(paths, path) // hash will say what cannot be read
			}
			return ctx.Err()
		})
	}
	for round, n := range []int{*workers, 1, *workers} { // the last two compare: all files are in memory then
		if err := hashAll(ctx, out, paths, n, round == 0); err != nil {
			return err
		}
	}
	return nil
}

func hashAll(ctx context.Context, out io.Writer, paths []string, n int, details bool) error {
	hashes, err := task.New(hash, task.Workers(n), task.StopGrace(time.Second/2))
	if err != nil {
		return err
	}
	defer hashes.Stop()
	sums, size, start := []sum(nil), int64(0), time.Now()
	for s, err := range hashes.Map(ctx, slices.Values(paths), task.Unordered(), task.Total(len(paths)), task.Progress("hashing")) {
		if err == nil {
			sums, size = append(sums, s), size+s.size
		} else if details && ctx.Err() == nil {
			fmt.Fprintln(out, "not read:", err)
		}
	}
	took, mb := time.Since(start).Seconds(), float64(size)/1e6
	fmt.Fprintf(out, "%d of %d files with %d workers: %.1f MB in %.2f s, %.0f MB/s\n", len(sums), len(paths), n, mb, took, mb/took)
	if details {
		report(out, sums)
	}
	return context.Cause(ctx) // nil unless interrupted
}

func report(out io.Writer, sums []sum) {
	top := func(title string, order func(a, b sum) int) {
		slices.SortFunc(sums, order)
		for _, s := range sums[:min(3, len(sums))] {
			fmt.Fprintf(out, "%s %8.3f MB %8.2f ms  %s\n", title, float64(s.size)/1e6, s.took.Seconds()*1e3, s.path)
		}
	}
	top("slowest", func(a, b sum) int { return cmp.Compare(b.took, a.took) })
	top("largest", func(a, b sum) int { return cmp.Or(cmp.Compare(b.size, a.size), cmp.Compare(a.path, b.path)) })
	first, copies, wasted := make(map[string]string), 0, int64(0)
	for _, s := range sums {
		if original, found := first[s.hash]; !found {
			first[s.hash] = s.path
		} else if copies, wasted = copies+1, wasted+s.size; copies <= 3 {
			fmt.Fprintf(out, "copy    %8.3f MB  %s = %s\n", float64(s.size)/1e6, s.path, original)
		}
	}
	fmt.Fprintf(out, "%d duplicates, %.3f MB wasted\n", copies, float64(wasted)/1e6)
}
