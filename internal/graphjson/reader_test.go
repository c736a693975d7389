package graphjson

import (
	"errors"
	"strings"
	"testing"

	statuspb "google.golang.org/genproto/googleapis/rpc/status"
)

// workload is an enum of two workloads, as a contract has it.
type workload int32

func workloadOf(name string) workload {
	switch {
	case HasPrefixFold(name, "mailbox"):
		return 1
	case HasPrefixFold(name, "site"):
		return 2
	}
	return 0
}

// item is a message as a contract has it.
type item struct {
	id       string
	workload workload
	enabled  *bool
	small    *int32
	large    *int64
	status   *statuspb.Status
	details  []string
}

// readItems reads a list of items, as generated code does.
func readItems(body string, options ReadOptions[workload, string]) ([]*item, error) {
	var r Reader[workload, string]
	var items Slab[item]
	var list []*item
	r.Start([]byte(body), options, workloadOf)
	for more := r.ObjectStart(); more; more = r.ObjectNext() {
		for more := r.ListStart(); more; more = r.ListNext() {
			x := items.Next(&r.Cursor)
			list = append(list, x)
			x.workload = r.PathWorkload()
			for more := r.ObjectStart(); more; more = r.ObjectNext() {
				switch string(r.Key()) {
				case "id":
					x.id = r.Text()
				case "@odata.type":
					x.workload = r.TypeWorkload()
				case "enabled":
					x.enabled = r.OptionalBool()
				case "small":
					x.small = r.OptionalInt32()
				case "large":
					x.large = r.OptionalInt64()
				case "error":
					r.ItemError("error", "base", &x.status, &x.details, &x.id)
				default:
					r.Skip()
				}
			}
		}
	}
	return list, r.Finish()
}

func TestReaderWorkload(t *testing.T) {
	list, err := readItems(`{"value":[{"@odata.type":"#microsoft.graph.siteUnit"},{"@odata.type":"#microsoft.graph.siteUnit"},`+
		`{"@odata.type":"mailboxUnit"},{"@odata.type":"teamUnit"},{}]}`, ReadOptions[workload, string]{Workload: 1})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []workload{2, 2, 1, 0, 1} {
		if got := list[i].workload; got != want {
			t.Errorf("item %d: workload %d, want %d", i, got, want)
		}
	}
	for path, want := range map[string]workload{"/units/microsoft.graph.siteUnit": 2, "/mailboxUnits/{id}": 1, "/units": 0, "": 0} {
		if got := PathWorkload(path, workloadOf); got != want {
			t.Errorf("%s: workload %d, want %d", path, got, want)
		}
	}
}

func TestReaderOptionalValues(t *testing.T) {
	list, err := readItems(`{"value":[{"enabled":false,"small":-5,"large":"5368709120"},{"enabled":null,"small":"","large":null}]}`,
		ReadOptions[workload, string]{})
	if err != nil {
		t.Fatal(err)
	}
	if x := list[0]; x.enabled == nil || *x.enabled || x.small == nil || *x.small != -5 || x.large == nil || *x.large != 5368709120 {
		t.Errorf("got %v, %v, %v", x.enabled, x.small, x.large)
	}
	if x := list[1]; x.enabled != nil || x.small != nil || x.large != nil {
		t.Errorf("values that are not set were read as %v, %v, %v", x.enabled, x.small, x.large)
	}
}

func TestReaderItemErrors(t *testing.T) {
	const body = `{"value":[{"error":{"code":"a"},"id":"1"},{"id":"2","error":null},{"error":5,"error":{"code":"b"}}]}`
	var got []string
	options := ReadOptions[workload, string]{Error: func(e ItemError) (*statuspb.Status, []string) {
		got = append(got, e.Property+" "+e.Type+" "+e.ID+" "+string(e.JSON))
		return &statuspb.Status{Message: e.ID}, []string{e.ID}
	}}
	list, err := readItems(body, options)
	if err != nil {
		t.Fatal(err)
	}
	if want := "error base 1 {\"code\":\"a\"}\nerror base  {\"code\":\"b\"}"; strings.Join(got, "\n") != want {
		t.Errorf("the hook got\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
	if list[0].status.GetMessage() != "1" || list[0].details[0] != "1" || list[1].status != nil || list[2].status == nil {
		t.Errorf("got the statuses %v, %v, %v", list[0].status, list[1].status, list[2].status)
	}
	t.Run("without a hook they are left out", func(t *testing.T) {
		list, err := readItems(body, ReadOptions[workload, string]{})
		if err != nil || len(list) != 3 || list[0].status != nil || list[0].details != nil {
			t.Errorf("got %v (%v)", list, err)
		}
	})
	t.Run("after an error of the body they are left out", func(t *testing.T) {
		got = nil
		if list, err := readItems(body+"x", options); err == nil || list[0].status != nil || got != nil {
			t.Errorf("got %v (%v)", got, err)
		}
	})
}

func TestReaderWantsAnObject(t *testing.T) {
	for _, body := range []string{`null`, `""`, ` [] `, `5`} {
		var failed *Error
		_, err := readItems(body, ReadOptions[workload, string]{})
		if !errors.As(err, &failed) || failed.Cause != CauseWrongType {
			t.Errorf("%s: %v, want the cause %s", body, err, CauseWrongType)
		}
	}
}
