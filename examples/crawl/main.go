// Crawl follows the links of a slow and flaky web site, level by level, with timeouts and retries.
package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/troupe-go/troupe/task"
)

type page struct {
	size  int
	links []string
}

var href = regexp.MustCompile(`href="([^"]+)"`)

// fetch gets one page. What it returns as an error is tried again, unless the page does not exist.
func fetch(ctx context.Context, url string) (page, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return page{}, task.Permanent(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return page{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return page{}, err
	case response.StatusCode == http.StatusNotFound:
		return page{}, task.Permanent(fmt.Errorf("%s: %s", request.URL.Path, response.Status))
	case response.StatusCode != http.StatusOK:
		return page{}, fmt.Errorf("%s: %s", request.URL.Path, response.Status)
	}
	found := page{size: len(body)}
	for _, match := range href.FindAllSubmatch(body, -1) {
		found.links = append(found.links, string(match[1]))
	}
	return found, nil
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "crawl:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer) error {
	server := httptest.NewServer(newSite())
	defer server.Close()
	backoff := task.Exponential(5*time.Millisecond, 50*time.Millisecond)
	fetches, err := task.New(fetch, task.Workers(16), task.Timeout(time.Second/4),
		task.Retries(task.RetryPolicy{Max: 4, Backoff: backoff}))
	if err != nil {
		return err
	}
	defer fetches.Stop()

	start, pages, bytes, failed := time.Now(), 0, 0, 0
	for level := []string{server.URL + "/1"}; len(level) > 0; {
		var next []string // the site is a tree: no page is linked twice
		for p, err := range fetches.Map(ctx, slices.Values(level), task.Unordered()) {
			if err != nil && ctx.Err() == nil {
				failed++
				fmt.Fprintln(out, "failed:", err)
			} else if err == nil {
				pages, bytes = pages+1, bytes+p.size
				for _, link := range p.links {
					next = append(next, server.URL+link)
				}
			}
		}
		level = next
	}
	fmt.Fprintf(out, "%d pages with %d bytes, %d failed, %d retries, %.1f s; one by one it takes more than %.1f s\n", pages, bytes, failed,
		fetches.Stats().Retries, time.Since(start).Seconds(), (time.Duration(pages) * delay).Seconds())
	return context.Cause(ctx)
}

const delay = 20 * time.Millisecond // of every page

// newSite has 200 pages: number n links to 2n and 2n+1. It is overloaded at the first visit of every fifth page and
// hangs at the first of every 31st; page 13 is gone and 77 always fails.
func newSite() http.Handler {
	var visited sync.Map
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var n int
		_, _ = fmt.Sscanf(r.URL.Path, "/%d", &n)
		_, again := visited.LoadOrStore(n, true)
		time.Sleep(delay)
		switch {
		case n == 13:
			http.NotFound(w, r)
		case n == 77, n%5 == 0 && !again:
			http.Error(w, "overloaded", http.StatusServiceUnavailable)
		case n%31 == 0 && !again:
			<-r.Context().Done()
		default:
			for m := 2 * n; m <= min(2*n+1, 200); m++ {
				fmt.Fprintf(w, `<a href="/%d">%d</a>`, m, m)
			}
		}
	})
}
