//go:build live

package prometheus

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/m365backup/backupstorage/internal/freeport"
)

// watcher asks a Prometheus for its alerts, and remembers when each fired first and since when it no longer does.
type watcher struct {
	address string
	began   time.Time

	mu       sync.Mutex
	fired    map[string]time.Time
	resolved map[string]time.Time
	active   []string // Those that are pending or fire now.
}

// startPrometheus starts one with rules, and watches its alerts until the test ends.
func startPrometheus(t *testing.T, w *surroundings, all rules, targets []string) *watcher {
	t.Helper()
	// JSON is YAML.
	put := func(name string, value any) {
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		w.write(t, name, text)
	}
	put("rules.yaml", all)
	put("prometheus.yaml", map[string]any{
		"global":     map[string]any{"scrape_interval": "1s", "evaluation_interval": "1s"},
		"rule_files": []string{w.at("rules.yaml")},
		"scrape_configs": []any{map[string]any{
			"job_name": jobName, "static_configs": []any{map[string]any{"targets": targets}},
		}},
	})
	address := freeport.ForTest(t)
	log, err := os.Create(w.at("prometheus.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	process := exec.Command("prometheus", "--config.file="+w.at("prometheus.yaml"), "--storage.tsdb.path="+w.at("data"), "--web.listen-address="+address)
	process.Stdout, process.Stderr = log, log
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	watch := &watcher{address: address, began: time.Now(), fired: make(map[string]time.Time), resolved: make(map[string]time.Time)}
	ended := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		for {
			watch.look()
			select {
			case <-ended:
				return
			case <-time.After(250 * time.Millisecond):
			}
		}
	})
	t.Cleanup(func() {
		close(ended)
		watching.Wait()
		_ = process.Process.Kill()
		_ = process.Wait()
		if text, err := os.ReadFile(w.at("prometheus.log")); err == nil && t.Failed() {
			t.Logf("Prometheus: %.2000s", text)
		}
	})
	return watch
}

// look asks once. A Prometheus that does not respond yet has no alerts.
func (w *watcher) look() {
	text, err := get(w.address, "/api/v1/alerts")
	if err != nil {
		return
	}
	var answer struct {
		Data struct {
			Alerts []struct {
				Labels map[string]string `json:"labels"`
				State  string            `json:"state"`
			} `json:"alerts"`
		} `json:"data"`
	}
	if json.Unmarshal([]byte(text), &answer) != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var firing []string
	w.active = nil
	for _, a := range answer.Data.Alerts {
		name := a.Labels["alertname"]
		w.active = append(w.active, name)
		if a.State == "firing" {
			firing = append(firing, name)
		}
	}
	for _, name := range firing {
		if w.fired[name].IsZero() {
			w.fired[name] = time.Now()
		}
		delete(w.resolved, name)
	}
	for name := range w.fired {
		if !slices.Contains(firing, name) && w.resolved[name].IsZero() {
			w.resolved[name] = time.Now()
		}
	}
}

// haveFired reports whether all of the alerts have fired, haveResolved whether they have resolved since.
func (w *watcher) haveFired(alerts ...string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !slices.ContainsFunc(alerts, func(name string) bool { return w.fired[name].IsZero() })
}

func (w *watcher) haveResolved(alerts ...string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !slices.ContainsFunc(alerts, func(name string) bool { return w.resolved[name].IsZero() })
}

// now are the alerts that are pending or fire.
func (w *watcher) now() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.active)
}

// verdict says of each alert what is wrong with it: it never fired, or never resolved.
func (w *watcher) verdict(alerts []string) (faults []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, name := range alerts {
		switch {
		case w.fired[name].IsZero():
			faults = append(faults, name+" never fired")
		case w.resolved[name].IsZero():
			faults = append(faults, name+" never resolved")
		}
	}
	return faults
}

func (w *watcher) when(name string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	since := func(at time.Time) string {
		if at.IsZero() {
			return "never"
		}
		return fmt.Sprintf("after %.0f s", at.Sub(w.began).Seconds())
	}
	return fmt.Sprintf("%s fired %s, resolved %s", name, since(w.fired[name]), since(w.resolved[name]))
}

// query returns how many series an expression has now.
func (w *watcher) query(expression string) (series int, err error) {
	text, err := get(w.address, "/api/v1/query?"+url.Values{"query": {expression}}.Encode())
	if err != nil {
		return 0, err
	}
	var answer struct {
		Data struct {
			Result []json.RawMessage `json:"result"`
		} `json:"data"`
	}
	err = json.Unmarshal([]byte(text), &answer)
	return len(answer.Data.Result), err
}

// left is how much time there is until all must have fired and resolved.
func (w *watcher) left() time.Duration { return limit - time.Since(w.began) }

// until waits for a condition.
func until(limit time.Duration, ready func() bool) bool {
	for began := time.Now(); !ready(); <-time.After(100 * time.Millisecond) {
		if time.Since(began) > limit {
			return false
		}
	}
	return true
}
