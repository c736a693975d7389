// Command kubernetes prints the manifests of an overlay, or the numbers by which it stops a replica.
//
// Usage, at the root of the repository:
//
//	go run -C deploy/kubernetes . overlays/production            what `kubectl apply -k` would apply
//	go run -C deploy/kubernetes . -numbers overlays/production   JSON for `go run ./deploy/restart kubelet`
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"

	"github.com/m365backup/backupstorage/deploy/kubernetes/render"
)

func main() {
	numbers := flag.Bool("numbers", false, "print the numbers alone")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: kubernetes [-numbers] OVERLAY")
		os.Exit(2)
	}
	if err := show(flag.Arg(0), *numbers); err != nil {
		fmt.Fprintln(os.Stderr, "kubernetes:", err)
		os.Exit(1)
	}
}

func show(overlay string, numbers bool) error {
	m, err := render.Overlay(overlay)
	if err != nil {
		return err
	}
	if !numbers {
		fmt.Print(m.YAML)
		return nil
	}
	n, err := m.Numbers()
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(n)
}
