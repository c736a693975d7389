// Package prometheus has only tests. Those with the tag live take minutes: they make each alert fire and resolve on a
// real Prometheus that scrapes three real replicas.
package prometheus

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

const (
	alertsFile    = "alerts.yaml"
	dashboardFile = "../grafana/backupstorage.json"
	// faster is how many times as fast as in production everything happens here.
	faster = 20
)

// rules are a file of rules, as far as this test looks at it.
type rules struct {
	Groups []group `yaml:"groups" json:"groups"`
}

type group struct {
	Name  string `yaml:"name" json:"name"`
	Rules []rule `yaml:"rules" json:"rules"`
}

type rule struct {
	Alert  string            `yaml:"alert" json:"alert"`
	Expr   string            `yaml:"expr" json:"expr"`
	For    string            `yaml:"for" json:"for,omitempty"`
	Labels map[string]string `yaml:"labels" json:"labels,omitempty"`
}

func readRules(tb testing.TB) rules {
	tb.Helper()
	text, err := os.ReadFile(alertsFile)
	if err != nil {
		tb.Fatal(err)
	}
	var all rules
	if err := yaml.Unmarshal(text, &all); err != nil {
		tb.Fatal(err)
	}
	return all
}

// names are those of all alerts.
func (r rules) names() (all []string) {
	for _, g := range r.Groups {
		for _, one := range g.Rules {
			all = append(all, one.Alert)
		}
	}
	return all
}

// fast makes all durations of rules shorter.
func (r rules) fast() rules {
	var all rules
	for _, g := range r.Groups {
		g.Rules = slices.Clone(g.Rules)
		for i := range g.Rules {
			g.Rules[i].Expr = fast(g.Rules[i].Expr)
			g.Rules[i].For = shorter(g.Rules[i].For)
		}
		all.Groups = append(all.Groups, g)
	}
	return all
}

var window = regexp.MustCompile(`\[(\w+)\]`)

// fast makes the windows of an expression shorter.
func fast(expression string) string {
	return window.ReplaceAllStringFunc(expression, func(text string) string { return "[" + shorter(strings.Trim(text, "[]")) + "]" })
}

var oneUnit = regexp.MustCompile(`^(\d+)([smhd])$`)

// shorter divides a duration of Prometheus. One that cannot be read stays, and Prometheus refuses it.
func shorter(text string) string {
	parts := oneUnit.FindStringSubmatch(text)
	if parts == nil {
		return text
	}
	n, err := strconv.Atoi(parts[1])
	if err != nil {
		return text
	}
	unit := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}[parts[2]]
	return strconv.FormatInt((time.Duration(n)*unit/faster).Milliseconds(), 10) + "ms"
}

// panel is an expression of the dashboard, as Grafana would send it.
type panel struct{ title, expression string }

func readDashboard(tb testing.TB) (all []panel) {
	tb.Helper()
	text, err := os.ReadFile(dashboardFile)
	if err != nil {
		tb.Fatal(err)
	}
	var board struct {
		Panels []struct {
			Title   string `json:"title"`
			Targets []struct {
				Expr string `json:"expr"`
			} `json:"targets"`
		} `json:"panels"`
	}
	if err := json.Unmarshal(text, &board); err != nil {
		tb.Fatal(err)
	}
	variables := strings.NewReplacer("$__rate_interval", "5m", "$__range", "1h", "$job", jobName, "$instance", ".*")
	for _, p := range board.Panels {
		for _, target := range p.Targets {
			all = append(all, panel{p.Title, fast(variables.Replace(target.Expr))})
		}
	}
	return all
}

// jobName is the name of the scrape job, as the first lines of alerts.yaml say.
const jobName = "backupstorage"

func TestDurationsGetShorter(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"rate(a[5m]) / rate(b[6h])": "rate(a[15000ms]) / rate(b[1080000ms])", "up == 0": "up == 0", "a[90s]": "a[4500ms]", "a[canary]": "a[canary]",
	} {
		if got := fast(in); got != want {
			t.Errorf("%s became %s, want %s", in, got, want)
		}
	}
	for _, g := range readRules(t).fast().Groups {
		for _, one := range g.Rules {
			if !strings.HasSuffix(one.For, "ms") {
				t.Errorf("%s waits %q: a time has a number and s, m, h or d", one.Alert, one.For)
			}
		}
	}
}

// The dashboard and the alerts name the same job, and the dashboard has something to show.
func TestDashboardHasExpressions(t *testing.T) {
	t.Parallel()
	if n := len(readDashboard(t)); n < 30 {
		t.Errorf("%d expressions", n)
	}
}
