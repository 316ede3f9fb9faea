//go:build e2e

package node

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	reflection "google.golang.org/grpc/reflection/grpc_reflection_v1"

	v1 "warren.io/warren/apis/v1"
)

// TestHTTP reads the node as curl does.
func TestHTTP(t *testing.T) {
	t.Parallel()
	w := running(t, "--metrics-listen", "127.0.0.1:9100", "--log-format", "json")
	w.apply(service("web", image+"labels: {app: shop}"), "--wait")
	task := w.one("web", "runs", ready)
	w.visit(task)
	for path, want := range map[string]struct {
		code int
		word string
	}{
		"/healthz":                           {200, "ok"},
		"/readyz":                            {200, `{"name":"store","ok":true}`},
		"/metrics":                           {200, "warren_reconciles_total"},
		"/v1/services":                       {200, `"name":"web"`},
		"/v1/services/web":                   {200, `"observedGeneration":1`},
		"/v1/svc/web":                        {200, `"observedGeneration":1`},
		"/v1/tasks?labelSelector=app%3Dno":   {200, `"items":[]`},
		"/v1/logs/" + task.Metadata.Name:     {200, "hello: listening on"},
		"/v1/services/none":                  {404, "not found"},
		"/v1/servces":                        {404, "did you mean"},
		"/v1/services?limit=5":               {400, "unknown parameter"},
		"/v2/services":                       {404, "/v1/KIND"},
		"/v1/tasks?labelSelector=app+in+web": {400, "error"},
	} {
		if a := w.api(path); a.code != want.code || !strings.Contains(a.body, want.word) {
			t.Errorf("%s: %d %s, want %d with %s", path, a.code, a.body, want.code, want.word)
		}
	}
	var svc v1.Service
	if err := json.Unmarshal([]byte(w.api("/v1/services/web").body), &svc); err != nil || svc.Kind != "Service" || svc.APIVersion != "warren.io/v1" {
		t.Errorf("%+v %v", svc, err)
	}
	r, err := w.socket.Post("http://warren/v1/services", "application/json", strings.NewReader("{}"))
	if err != nil || r.StatusCode != 405 {
		t.Errorf("POST: %+v %v", r, err)
	}
	a, err := get(w.inside, "http://127.0.0.1:9100/readyz")
	if err != nil || a.code != 200 {
		t.Errorf("readyz on the port: %+v %v", a, err)
	}
	if a, err := get(w.inside, "http://127.0.0.1:9100/v1/services"); err != nil || a.code != 404 {
		t.Errorf("services on the port: %+v %v", a, err)
	}
	w.logged(`"msg":"node is up"`, `"node":"n1"`)
}

func TestGRPC(t *testing.T) {
	t.Parallel()
	w := running(t)
	c, err := grpc.NewClient("unix://"+w.socketPath(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	h, err := grpc_health_v1.NewHealthClient(c).Check(ctx, &grpc_health_v1.HealthCheckRequest{})
	if err != nil || h.Status != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Errorf("health: %v %v", h, err)
	}
	s, err := reflection.NewServerReflectionClient(c).ServerReflectionInfo(ctx)
	if err != nil {
		t.Fatal(err)
	}
	ask := &reflection.ServerReflectionRequest{MessageRequest: &reflection.ServerReflectionRequest_ListServices{}}
	if err := s.Send(ask); err != nil {
		t.Fatal(err)
	}
	got, err := s.Recv()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, x := range got.GetListServicesResponse().GetService() {
		names = append(names, x.Name)
	}
	for _, want := range []string{"warren.v1.Warren", "grpc.health.v1.Health"} {
		if !slices.Contains(names, want) {
			t.Errorf("services %q lack %s", names, want)
		}
	}
}
