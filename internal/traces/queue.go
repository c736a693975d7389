package traces

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc/status"
)

const (
	// maxQueued is how many spans wait for the collector at most, some 2 MB.
	maxQueued = 2048
	// maxBatch is how many of them are sent together, sendEvery how long a span waits for others.
	maxBatch  = 512
	sendEvery = 5 * time.Second
	// tellAgain is how long nothing is logged after a line that spans could not be sent.
	tellAgain = time.Minute
)

// queue holds the spans until the collector takes them. No call waits for it: a span that finds no room is dropped and
// counted.
type queue struct {
	sdktrace.SpanProcessor
	exporter sdktrace.SpanExporter
	logger   *slog.Logger
	// waiting is how many spans wait for the collector.
	waiting atomic.Int64
	dropped atomic.Uint64
	// closed ends what is being sent.
	closed context.Context
	close  context.CancelFunc

	mu sync.Mutex
	// told is when a line was logged, toldOf how many spans had been dropped then.
	told   time.Time
	toldOf uint64
}

func newQueue(exporter sdktrace.SpanExporter, logger *slog.Logger) *queue {
	q := &queue{exporter: exporter, logger: logger}
	q.closed, q.close = context.WithCancel(context.Background())
	// The processor has more room than it is given spans: it would drop them without a word.
	q.SpanProcessor = sdktrace.NewBatchSpanProcessor(sending{q},
		sdktrace.WithMaxQueueSize(maxQueued+maxBatch), sdktrace.WithMaxExportBatchSize(maxBatch), sdktrace.WithBatchTimeout(sendEvery))
	return q
}

// OnEnd takes a span that has ended.
func (q *queue) OnEnd(span sdktrace.ReadOnlySpan) {
	if !span.SpanContext().IsSampled() {
		return
	}
	if q.waiting.Add(1) > maxQueued {
		q.waiting.Add(-1)
		q.dropped.Add(1)
		q.tell("queue-full")
		return
	}
	q.SpanProcessor.OnEnd(span)
}

// tell logs that spans were dropped, once a minute at most.
func (q *queue) tell(why string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	if now.Sub(q.told) < tellAgain {
		return
	}
	all := q.dropped.Load()
	q.logger.Warn("spans were dropped because the collector did not take them", slog.Uint64("count", all-q.toldOf), slog.String("why", why))
	q.told, q.toldOf = now, all
}

// sending is the exporter of a queue. It shows the collector what may be seen, and says once a minute that it fails.
type sending struct{ *queue }

// ExportSpans sends spans. It never fails: the queue has said so.
func (s sending) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	s.waiting.Add(-int64(len(spans)))
	all := make([]sdktrace.ReadOnlySpan, len(spans))
	for i, span := range spans {
		all[i] = show(span)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.closed, cancel)()
	if err := s.exporter.ExportSpans(ctx, all); err != nil {
		s.dropped.Add(uint64(len(spans)))
		// The code alone: the text is the collector's.
		s.tell(status.Code(err).String())
	}
	return nil
}

// Shutdown ends the exporter.
func (s sending) Shutdown(ctx context.Context) error { return s.exporter.Shutdown(ctx) }
