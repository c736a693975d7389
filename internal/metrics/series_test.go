package metrics_test

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	dto "github.com/prometheus/client_model/go"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/internal/metrics"
)

const (
	pageFile = "../../docs/metrics.md"
	// writeVariable in the environment makes the test write the table of the page.
	writeVariable = "BACKUPSTORAGE_WRITE_METRICS_PAGE"
)

// series counts the series of a family, as Prometheus does.
func series(family *dto.MetricFamily) (n int) {
	for _, metric := range family.GetMetric() {
		switch {
		case metric.Histogram != nil:
			// The buckets, the one for infinity, the sum and the count.
			n += len(metric.Histogram.GetBucket()) + 3
		case metric.Summary != nil:
			n += len(metric.Summary.GetQuantile()) + 2
		default:
			n++
		}
	}
	return n
}

func allSeries(t *testing.T, m *metrics.Metrics) (n int) {
	t.Helper()
	families, err := m.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		n += series(family)
	}
	return n
}

// No number of tenants, of methods that strangers invent, of user agents or of Graph codes makes another series.
func TestSeriesStayTheSame(t *testing.T) {
	tenants, methods, agents, codes := 10_000, 10_000, 1000, 200
	if testing.Short() {
		tenants, methods, agents = 500, 500, 50
	}
	w := start(t)
	s := sources(w)
	w.Watch(s)
	before := allSeries(t, w.Metrics)

	inParallel(tenants, func(i int) {
		if err := w.get(t, fmt.Sprintf("%08x-0000-4000-8000-000000000001", i)); err != nil {
			t.Error(err)
		}
	})
	inParallel(methods, func(i int) {
		if w.conn.Invoke(t.Context(), fmt.Sprintf("/canary%d.Service/Method%d", i%100, i), new(pb.GetBackupRestoreRequest), new(pb.GetBackupRestoreResponse)) == nil {
			t.Error("an invented method was OK")
		}
	})
	inParallel(agents, func(i int) {
		conn := w.dial(t, fmt.Sprintf("canary/%d", i))
		defer conn.Close()
		if _, err := pb.NewBackupRestoreServiceClient(conn).GetBackupRestore(as(t.Context(), tenant), new(pb.GetBackupRestoreRequest)); err != nil {
			t.Error(err)
		}
	})
	var code atomic.Int64
	w.upstream(func(rw http.ResponseWriter, r *http.Request) {
		n := code.Add(1)
		fails([]int{400, 403, 404, 409, 418, 500, 507}[n%7], fmt.Sprintf("canaryCode%d", n))(rw, r)
	})
	inParallel(codes, func(int) {
		if w.get(t, tenant) == nil {
			t.Error("an error of Graph was OK")
		}
	})
	if got := value(t, w.Metrics, "grpc_server_started_total", "grpc_service", "other", "grpc_method", "other"); got != float64(methods) {
		t.Errorf("%v calls of invented methods were counted, want %d", got, methods)
	}
	after := allSeries(t, w.Metrics)
	if after != before {
		t.Errorf("%d series before, %d after", before, after)
	}
	t.Logf("%d series before and after", after)
}

// inParallel calls a function with the numbers from 0 up to n.
func inParallel(n int, do func(i int)) {
	var group sync.WaitGroup
	var next atomic.Int64
	for range 16 {
		group.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	group.Wait()
}

// The page has every family, and the number of series.
func TestMetricsPageHasEveryFamily(t *testing.T) {
	page, err := os.ReadFile(pageFile)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- table begins -->\n", "<!-- table ends -->\n"
	before, rest, ok := strings.Cut(string(page), begin)
	if !ok {
		t.Fatal("the page has no beginning of the table")
	}
	_, after, ok := strings.Cut(rest, end)
	if !ok {
		t.Fatal("the page has no end of the table")
	}
	want := before + begin + table(t) + end + after
	if string(page) == want {
		return
	}
	if os.Getenv(writeVariable) == "" {
		t.Fatalf("the table is not that of the families: %s=1 go test ./internal/metrics -run Page writes it", writeVariable)
	}
	if err := os.WriteFile(pageFile, []byte(want), 0o600); err != nil {
		t.Fatal(err)
	}
}

// table is the table of the page.
func table(t *testing.T) string {
	t.Helper()
	w := start(t)
	s := sources(w)
	w.Watch(s)
	families, err := w.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	total := 0
	text.WriteString("| family | type | labels | series | meaning |\n|---|---|---|---|---|\n")
	for _, family := range families {
		name := family.GetName()
		if strings.HasPrefix(name, "go_") || strings.HasPrefix(name, "process_") {
			continue
		}
		n := strconv.Itoa(series(family))
		if chosenElsewhere[name] {
			n = "at most 16 a label"
		} else {
			total += series(family)
		}
		fmt.Fprintf(&text, "| `%s` | %s | %s | %s | %s |\n", name, strings.ToLower(family.GetType().String()), labels(family), n, family.GetHelp())
	}
	fmt.Fprintf(&text, "\nThese are %d series, without those of files and callers, and without those of Go (`go_…`) and of the process (`process_…`).\n", total)
	return text.String()
}

// chosenElsewhere are the families whose values other parts of the server choose.
var chosenElsewhere = map[string]bool{
	"backupstorage_reloads_total": true,
}

// labels are the labels of a family, with their values when they are few.
func labels(family *dto.MetricFamily) string {
	var texts []string
	for i, pair := range family.GetMetric()[0].GetLabel() {
		if pair.GetName() == "grpc_service" {
			texts = append(texts, "`grpc_service`")
			continue
		}
		var values []string
		for _, metric := range family.GetMetric() {
			values = append(values, "`"+metric.GetLabel()[i].GetValue()+"`")
		}
		slices.Sort(values)
		values = slices.Compact(values)
		text := "`" + pair.GetName() + "`"
		build := pair.GetName() == "version" || pair.GetName() == "revision" || pair.GetName() == "go_version" || pair.GetName() == "upstream"
		if len(values) <= 12 && !build && !chosenElsewhere[family.GetName()] {
			text += ": " + strings.Join(values, ", ")
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, "; ")
}
