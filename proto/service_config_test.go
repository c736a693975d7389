package proto_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/emptypb"
)

// clientConfig is the part of gRPC's service config that the file uses.
type clientConfig struct {
	MethodConfig []struct {
		Name []struct {
			Service string `json:"service"`
			Method  string `json:"method"`
		} `json:"name"`
		RetryPolicy struct {
			MaxAttempts          int      `json:"maxAttempts"`
			InitialBackoff       string   `json:"initialBackoff"`
			MaxBackoff           string   `json:"maxBackoff"`
			BackoffMultiplier    float64  `json:"backoffMultiplier"`
			RetryableStatusCodes []string `json:"retryableStatusCodes"`
		} `json:"retryPolicy"`
	} `json:"methodConfig"`
	RetryThrottling struct {
		MaxTokens  int     `json:"maxTokens"`
		TokenRatio float64 `json:"tokenRatio"`
	} `json:"retryThrottling"`
}

func readClientConfig(t *testing.T) (clientConfig, string) {
	t.Helper()
	text, err := os.ReadFile("service_config.json")
	if err != nil {
		t.Fatal(err)
	}
	var config clientConfig
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&config); err != nil {
		t.Fatal(err)
	}
	return config, string(text)
}

// retriedOn returns the codes on which a runtime may retry a method with that idempotency level. It is nil for a method
// that is not idempotent: runtimes make both codes themselves, and then a write may have been done.
func retriedOn(level descriptorpb.MethodOptions_IdempotencyLevel) []string {
	if level == descriptorpb.MethodOptions_IDEMPOTENCY_UNKNOWN {
		return nil
	}
	return []string{"RESOURCE_EXHAUSTED", "UNAVAILABLE"}
}

// The file for clients that connect to each replica says the same of retries, and two things more.
func TestServiceConfigOfReplicasAddsBalancing(t *testing.T) {
	files := map[string]map[string]json.RawMessage{}
	for _, name := range []string{"service_config.json", "service_config_replicas.json"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var keys map[string]json.RawMessage
		if err := json.Unmarshal(text, &keys); err != nil {
			t.Fatal(err)
		}
		files[name] = keys
	}
	replicas := files["service_config_replicas.json"]
	for key, want := range map[string]string{"loadBalancingConfig": `[{"round_robin":{}}]`, "healthCheckConfig": `{"serviceName":""}`} {
		if got := string(replicas[key]); got != want {
			t.Errorf("%s is %s, want %s", key, got, want)
		}
		delete(replicas, key)
	}
	same := func(a, b json.RawMessage) bool { return bytes.Equal(a, b) }
	if !maps.EqualFunc(files["service_config.json"], replicas, same) {
		t.Error("the files differ in more than that")
	}
}

func TestServiceConfigFollowsTheIdempotencyLevels(t *testing.T) {
	config, _ := readClientConfig(t)
	// Codes by service/method. Without a method a name selects the rest of a service, without a service all services.
	named := map[string][]string{}
	var wrong []string
	for _, class := range config.MethodConfig {
		slices.Sort(class.RetryPolicy.RetryableStatusCodes)
		for _, name := range class.Name {
			key := name.Service + "/" + name.Method
			if _, ok := named[key]; ok {
				wrong = append(wrong, key+": named twice")
			}
			// A method that comes later must not be repeated before its level says so.
			if name.Method == "" {
				wrong = append(wrong, key+": selects methods without naming them")
			}
			named[key] = class.RetryPolicy.RetryableStatusCodes
		}
	}
	methods := map[string]bool{}
	levels := map[descriptorpb.MethodOptions_IdempotencyLevel]int{}
	for _, r := range allRPCs() {
		key := fmt.Sprintf("%s/%s", r.Parent().FullName(), r.name())
		methods[key] = true
		levels[r.level]++
		codes, ok := named[key]
		if ok && r.level == descriptorpb.MethodOptions_IDEMPOTENCY_UNKNOWN {
			wrong = append(wrong, key+": named without an idempotency level")
		}
		if want := retriedOn(r.level); !slices.Equal(codes, want) {
			wrong = append(wrong, fmt.Sprintf("%s (%s): retried on %v, want %v", key, r.level, codes, want))
		}
	}
	for _, key := range sortedKeys(named) {
		if !methods[key] {
			wrong = append(wrong, key+": no such method")
		}
	}
	if len(levels) != 3 {
		wrong = append(wrong, fmt.Sprintf("the contract has the levels %v, want all three", levels))
	}
	report(t, wrong)
}

func TestServiceConfigStaysInTheBoundsOfRuntimes(t *testing.T) {
	config, _ := readClientConfig(t)
	for i, class := range config.MethodConfig {
		policy := class.RetryPolicy
		if policy.MaxAttempts < 2 || policy.MaxAttempts > 5 {
			t.Errorf("class %d: %d attempts; runtimes take 2 to 5", i, policy.MaxAttempts)
		}
		initial, err := time.ParseDuration(policy.InitialBackoff)
		if err != nil || initial <= 0 {
			t.Errorf("class %d: initialBackoff is %q", i, policy.InitialBackoff)
		}
		if longest, err := time.ParseDuration(policy.MaxBackoff); err != nil || longest < initial {
			t.Errorf("class %d: maxBackoff is %q", i, policy.MaxBackoff)
		}
		if policy.BackoffMultiplier <= 0 {
			t.Errorf("class %d: backoffMultiplier is %v", i, policy.BackoffMultiplier)
		}
	}
	if tokens := config.RetryThrottling.MaxTokens; tokens < 1 || tokens > 1000 {
		t.Errorf("maxTokens is %d; runtimes take 1 to 1000", tokens)
	}
	// Runtimes count in thousandths.
	if ratio := config.RetryThrottling.TokenRatio; ratio < 0.001 {
		t.Errorf("tokenRatio is %v", ratio)
	}
}

// refuser is a server that refuses every method of every service with the code that the caller names.
func refuser(t *testing.T) (address string, calls *atomic.Int32) {
	t.Helper()
	calls = new(atomic.Int32)
	server := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		calls.Add(1)
		// So that no test waits for a backoff.
		stream.SetTrailer(metadata.Pairs("grpc-retry-pushback-ms", "0"))
		incoming, _ := metadata.FromIncomingContext(stream.Context())
		if slices.Equal(incoming.Get("refuse-with"), []string{"UNAVAILABLE"}) {
			return status.Error(codes.Unavailable, "refused")
		}
		return status.Error(codes.ResourceExhausted, "refused")
	}))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	return listener.Addr().String(), calls
}

func dial(t *testing.T, address, config string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultServiceConfig(config))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func TestAGoClientRetriesAsTheServiceConfigSays(t *testing.T) {
	config, text := readClientConfig(t)
	attempts := config.MethodConfig[0].RetryPolicy.MaxAttempts
	address, calls := refuser(t)
	for _, r := range allRPCs() {
		for _, code := range []string{"UNAVAILABLE", "RESOURCE_EXHAUSTED"} {
			want := 1
			if slices.Contains(retriedOn(r.level), code) {
				want = attempts
			}
			calls.Store(0)
			// A connection of its own: the failures of another method would use up the budget.
			conn := dial(t, address, text)
			ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(t.Context(), "refuse-with", code), 20*time.Second)
			method := fmt.Sprintf("/%s/%s", r.Parent().FullName(), r.name())
			if err := conn.Invoke(ctx, method, new(emptypb.Empty), new(emptypb.Empty)); err == nil {
				t.Errorf("%s: was not refused", method)
			}
			cancel()
			if got := int(calls.Load()); got != want {
				t.Errorf("%s (%s) refused with %s: %d attempts, want %d", method, r.level, code, got, want)
			}
		}
	}
}

func TestAGoClientRefusesAServiceConfigThatIsWrong(t *testing.T) {
	_, text := readClientConfig(t)
	broken := strings.Replace(text, `"initialBackoff":"0.5s"`, `"initialBackoff":"soon"`, 1)
	if broken == text {
		t.Fatal("nothing was broken")
	}
	conn, err := grpc.NewClient("127.0.0.1:1", grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultServiceConfig(broken))
	if err == nil {
		conn.Close()
		t.Error("a client with a broken service config was made, so that making one shows nothing")
	}
}
