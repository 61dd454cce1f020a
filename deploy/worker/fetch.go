package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"

	"github.com/troupe-go/troupe/task"
)

// pages is what this node serves; a caller has a task of the same name, argument and result, and places it with
// remote.Nodes. Replace it by your own: any number of named tasks and workers, in variables of packages.
var pages = task.MustNew(fetch, task.Name("pages"))

// Page is what was found at an address.
type Page struct {
	Status int
	Size   int64
	SHA256 string
}

func fetch(ctx context.Context, url string) (Page, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return Page{}, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return Page{}, err
	}
	defer response.Body.Close()
	hash := sha256.New()
	size, err := io.Copy(hash, response.Body)
	return Page{Status: response.StatusCode, Size: size, SHA256: hex.EncodeToString(hash.Sum(nil))}, err
}
