package main

import (
	"bytes"
	"context"
	"os"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"

	"warren.io/warren/runtime/host"
)

var (
	infoDesc       = desc("warren_info", "1; what runs here.", "node", "version")
	leaderDesc     = desc("warren_leader", "1 on the node whose controllers work for the cluster.")
	writtenDesc    = desc("warren_process_written_bytes_total", "Bytes that the warren process made the disks write.")
	nodeCores      = desc("warren_node_cpu_cores", "Cores of the machine.")
	nodeCPU        = desc("warren_node_cpu_seconds_total", "Processor time that the machine has spent.")
	nodeMemory     = desc("warren_node_memory_bytes", "Memory of the machine.")
	nodeMemoryUsed = desc("warren_node_memory_used_bytes", "Memory that is not available for more.")
	nodeDisk       = desc("warren_node_disk_size_bytes", "Size of the file system of the data directory.")
	nodeDiskFree   = desc("warren_node_disk_free_bytes", "What is free of it for warren.")
	nodeNetwork    = desc("warren_node_network_bytes_total", "Traffic of the machine's own links.", "direction")
	nodeIO         = desc("warren_node_disk_io_bytes_total", "Bytes read from and written to the machine's disks.", "direction")

	taskCPU     = desc("warren_task_cpu_seconds_total", "Processor time of a task's current attempt.", "task", "service")
	taskMemory  = desc("warren_task_memory_bytes", "Memory of a task, without what the kernel would give back at once.", "task", "service")
	taskLimit   = desc("warren_task_memory_limit_bytes", "What a task may have; none where there is no limit.", "task", "service")
	taskPids    = desc("warren_task_processes", "Processes and threads of a task.", "task", "service")
	taskNetwork = desc("warren_task_network_bytes_total", "Traffic of a task.", "task", "service", "direction")
	taskIO      = desc("warren_task_disk_io_bytes_total", "Bytes that a task has read from disks and written to them.", "task", "service", "direction")
)

// machine collects what the node and its tasks use. It reads the kernel's counters when somebody asks, and nothing between.
type machine struct {
	meter         host.Meter
	leading       func() bool
	node, dataDir string
}

// Describe implements prometheus.Collector.
func (m *machine) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{infoDesc, leaderDesc, writtenDesc, nodeCores, nodeCPU, nodeMemory, nodeMemoryUsed, nodeDisk, nodeDiskFree,
		nodeNetwork, nodeIO, taskCPU, taskMemory, taskLimit, taskPids, taskNetwork, taskIO} {
		out <- d
	}
}

// scrapeWithin is how long the counters may take; what is not there by then is left out.
const scrapeWithin = 5 * time.Second

// Collect implements prometheus.Collector.
func (m *machine) Collect(out chan<- prometheus.Metric) {
	m.collectProcess(out)
	ctx, cancel := context.WithTimeout(context.Background(), scrapeWithin)
	defer cancel()
	u, err := m.meter.Usage(ctx)
	if err != nil {
		return // containers are not up yet: /readyz says why
	}
	out <- gauge(nodeCores, float64(u.Cores))
	out <- total(nodeCPU, u.Total.CPU.Seconds())
	out <- gauge(nodeMemory, float64(u.Total.MemoryLimit))
	out <- gauge(nodeMemoryUsed, float64(u.Total.Memory))
	collectTraffic(out, nodeNetwork, nodeIO, u.Total)
	for _, t := range u.Tasks {
		if t.Service != "" { // of a task that was taken over, it is known in a moment
			collectTask(out, t)
		}
	}
}

func (m *machine) collectProcess(out chan<- prometheus.Metric) {
	leads := 0.
	if m.leading() {
		leads = 1
	}
	out <- gauge(infoDesc, 1, m.node, version)
	out <- gauge(leaderDesc, leads)
	if n, ok := writtenBytes(); ok {
		out <- total(writtenDesc, n)
	}
	var disk unix.Statfs_t
	if err := unix.Statfs(m.dataDir, &disk); err == nil {
		out <- gauge(nodeDisk, float64(disk.Blocks)*float64(disk.Bsize))
		out <- gauge(nodeDiskFree, float64(disk.Bavail)*float64(disk.Bsize))
	}
}

func collectTask(out chan<- prometheus.Metric, t host.TaskUsage) {
	out <- total(taskCPU, t.CPU.Seconds(), t.Name, t.Service)
	out <- gauge(taskMemory, float64(t.Memory), t.Name, t.Service)
	if t.MemoryLimit > 0 {
		out <- gauge(taskLimit, float64(t.MemoryLimit), t.Name, t.Service)
	}
	out <- gauge(taskPids, float64(t.Pids), t.Name, t.Service)
	collectTraffic(out, taskNetwork, taskIO, t.Counters, t.Name, t.Service)
}

func collectTraffic(out chan<- prometheus.Metric, network, io *prometheus.Desc, c host.Counters, labels ...string) {
	with := func(direction string) []string { return append(append([]string(nil), labels...), direction) }
	out <- total(network, float64(c.Received), with("received")...)
	out <- total(network, float64(c.Sent), with("sent")...)
	out <- total(io, float64(c.Read), with("read")...)
	out <- total(io, float64(c.Wrote), with("written")...)
}

// writtenBytes is what this process made the disks write, as the kernel counts it.
func writtenBytes() (float64, bool) {
	data, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return 0, false
	}
	for line := range bytes.Lines(data) {
		if rest, ok := bytes.CutPrefix(line, []byte("write_bytes: ")); ok {
			n, err := strconv.ParseFloat(string(bytes.TrimSpace(rest)), 64)
			return n, err == nil
		}
	}
	return 0, false
}
